//! The canonical text and the JSON form.

use super::super::*;
use super::{accepted, around, report, shipped_text};
use crate::{SCENARIOS, Shipped};
use snapbox::{assert_data_eq, str};

#[test]
fn formatting_changes_neither_meaning_nor_its_own_output() {
    for Shipped { name, text } in SCENARIOS {
        let scenario = accepted(text);
        let canonical = format(&scenario);
        assert_eq!(accepted(&canonical), scenario, "{name}");
        assert_eq!(format(&accepted(&canonical)), canonical, "{name}");
    }
}

#[test]
fn comments_follow_their_statements_into_the_canonical_order() {
    let source = "   # What this is.
#
scenario   s # named

always  # at the end
h0   is P:A# one frame
   # The other section, moved.
setup#first
process P
P: map A 1 private rw   ## below
      # pinned
  P: pin A read longterm force as h0
after # nothing in it
lane   one :P
    exit
# the end
";
    assert_data_eq!(
        format(&accepted(source)),
        str![[r#"
# What this is.
#
scenario s  # named

# The other section, moved.
setup  # first
  process P
  P: map A 1 private rw  # below
  # pinned
  P: pin A read force longterm as h0

# nothing in it
lane one: P
  exit

always  # at the end
  h0 is P:A  # one frame

# the end

"#]]
    );
    let canonical = format(&accepted(source));
    assert_eq!(accepted(&canonical), accepted(source));
    assert_eq!(format(&accepted(&canonical)), canonical);
}

#[test]
fn json_says_what_the_text_says() {
    for Shipped { name, text } in SCENARIOS {
        let scenario = accepted(text);
        let document = json::write(&scenario).expect("a document");
        let (read, canonical) = json::read(&document).expect("the same scenario");
        assert_eq!(read, scenario, "{name}");
        assert_eq!(canonical, format(&scenario), "{name}");
    }
}

#[test]
fn the_json_form_is_readable() {
    let document = json::write(&accepted(shipped_text("rdma-fork-get"))).expect("a document");
    assert_data_eq!(
        document,
        str![[r#"
{
  "pinfold": 1,
  "scenario": {
    "name": "rdma-fork-get",
    "title": "an ordinary reference does not survive a fork",
    "about": [
      "As rdma-fork, with an ordinary reference in place of a pin.",
      "Fork has no way to tell such a reference from any other: the page is shared."
    ],
    "facts": "T2",
    "source": [
      "https://github.com/ofiwg/libfabric/pull/5215"
    ],
    "machine": {},
    "setup": {
      "process": {
        "name": "P"
      },
      "steps": [
        {
          "process": "P",
          "do": {
            "verb": "map",
            "area": "A",
            "pages": 1,
            "sharing": "private",
            "protection": "rw"
          }
        },
        {
          "process": "P",
          "do": {
            "verb": "write",
            "to": {
              "name": "A"
            },
            "word": "v1"
          }
        },
        {
          "process": "P",
          "do": {
            "verb": "get",
            "grab": {
              "pages": {
                "area": "A"
              },
              "access": "write",
              "force": "respect",
              "path": "fast-then-slow",
              "as": "h0"
            }
          }
        }
      ]
    },
    "lanes": [
      {
        "name": "parent",
        "runner": {
          "process": {
            "name": "P"
          }
        },
        "steps": [
          {
            "do": {
              "verb": "fork",
              "child": "C"
            }
          },
          {
            "do": {
              "verb": "write",
              "to": {
                "name": "A"
              },
              "word": "v2"
            }
          }
        ]
      }
    ],
    "always": [
      {
        "mode": "holds",
        "facts": [
          {
            "atom": {
              "sees": {
                "view": {
                  "handle": {
                    "name": "h0"
                  }
                },
                "word": "v2"
              }
            },
            "polarity": "affirmed"
          }
        ]
      },
      {
        "mode": "holds",
        "facts": [
          {
            "atom": {
              "is": {
                "left": {
                  "handle": {
                    "name": "h0"
                  }
                },
                "right": {
                  "process": {
                    "process": "P",
                    "place": {
                      "name": "A"
                    }
                  }
                }
              }
            },
            "polarity": "affirmed"
          }
        ]
      },
      {
        "mode": "holds",
        "facts": [
          {
            "atom": {
              "sees": {
                "view": {
                  "process": {
                    "process": "C",
                    "place": {
                      "name": "A"
                    }
                  }
                },
                "word": "v1"
              }
            },
            "polarity": "affirmed"
          }
        ]
      }
    ],
    "outcomes": [
      {
        "name": "in-step",
        "when": [
          {
            "atom": {
              "is": {
                "left": {
                  "handle": {
                    "name": "h0"
                  }
                },
                "right": {
                  "process": {
                    "process": "P",
                    "place": {
                      "name": "A"
                    }
                  }
                }
              }
            },
            "polarity": "affirmed"
          }
        ]
      },
      {
        "name": "parted"
      }
    ],
    "reach": [
      {
        "event": "fork"
      }
    ]
  }
}
"#]]
    );
}

fn refusal(document: &str) -> String {
    let refused = json::read(document).expect_err("a document with errors");
    render(&refused.errors, &refused.text, "test.json", Style::Plain)
}

#[test]
fn json_of_another_shape_is_refused_where_it_differs() {
    assert_data_eq!(
        refusal("{ \"pinfold\": 1,\n  \"scenari\": {} }"),
        str![[r#"
error[PF0150]: this is no scenario in JSON: unknown field `scenari`, expected `pinfold` or `scenario` at line 2 column 11
 --> test.json:2:11
  |
2 |   "scenari": {} }
  |           ^ not understood here
"#]]
    );
    assert_data_eq!(
        refusal("{ \"pinfold\": 2, \"scenario\": {} }"),
        str![[r#"
error[PF0150]: the document has version 2
 --> test.json:1:1
  |
1 | { "pinfold": 2, "scenario": {} }
  | ^ expected "pinfold": 1
  |
  = help: write it again with a release of the same version
"#]]
    );
    assert_data_eq!(
        refusal("{ \"pinfold\": 1,"),
        str![[r#"
error[PF0150]: this is no scenario in JSON: EOF while parsing a value at line 1 column 15
 --> test.json:1:15
  |
1 | { "pinfold": 1,
  |               ^ not understood here
"#]]
    );
}

#[test]
fn json_with_more_than_is_known_is_refused() {
    let document = json::write(&accepted(&around("", "  fork kid"))).expect("a document");
    let changed = document.replace("\"kid\"", "\"kid\", \"cpu\": \"cpu0\"");
    assert!(refusal(&changed).contains("unknown field `cpu`"), "{}", refusal(&changed));
}

#[test]
fn json_with_an_error_is_shown_as_text() {
    let document = json::write(&accepted(&around("", "  read A[0]"))).expect("a document");
    assert_data_eq!(
        refusal(&document.replace("\"page\": 0", "\"page\": 7")),
        str![[r#"
error[PF0131]: page 7 lies outside the area `A`
  --> test.json:12:10
   |
12 |   read A[7]
   |          ^ `A` has 2 pages
   |
   = help: pages are counted from 0

error[PF0131]: page 7 lies outside the area `A`
  --> test.json:15:7
   |
15 |   P:A[7] sees "0"
   |       ^ `A` has 2 pages
   |
   = help: pages are counted from 0
"#]]
    );
}

#[test]
fn json_cannot_smuggle_statements_in_names_or_comments() {
    let text = format!("# note\n{}", around("", "  fork kid"));
    let document = json::write(&accepted(&text)).expect("a document");
    for (from, to) in [("\"kid\"", "\"C\\n  exit\""), ("\"note\"", "\"note\\n# more\"")] {
        let changed = document.replace(from, to);
        assert_ne!(changed, document);
        let refused = json::read(&changed).expect_err("a refusal");
        assert_eq!(refused.errors[0].code, Code::Inexpressible, "{to}");
    }
}

#[test]
fn colours_add_nothing_but_colours() {
    let source = around("", "  raed A[0]");
    let errors = parse(&source).expect_err("a misspelt step");
    let coloured = render(&errors, &source, "test.pf", Style::Coloured);
    assert!(coloured.contains('\x1b'));
    let mut plain = String::new();
    let mut rest = coloured.as_str();
    while let Some((before, after)) = rest.split_once('\x1b') {
        plain += before;
        rest = after.split_once('m').map_or("", |(_, after)| after);
    }
    plain += rest;
    assert_eq!(plain, render(&errors, &source, "test.pf", Style::Plain));
}

#[test]
fn what_hinting_faults_do_is_said_once_and_written_back() {
    let text = |lines: &str| {
        format!(
            "scenario s\n\nmachine\n  nodes 2\n{lines}\nsetup\n  process P\n  \
             P: map A 1 private rw\n\nlane one: P\n  read A\n\noutcome all otherwise\n"
        )
    };
    let machine = |lines: &str| accepted(&text(lines)).machine.numa();
    assert_eq!(machine(""), Numa::AtOnce);
    assert_eq!(machine("  numa at-once\n"), Numa::AtOnce);
    assert_eq!(machine("  numa filter\n"), Numa::Filter);
    let written = text("  numa filter\n");
    assert_eq!(format(&accepted(&written)), written);
    let twice = report(&text("  numa filter\n  numa at-once\n"));
    assert!(twice.contains("`numa` stands here a second time"), "{twice}");
    let unknown = report(&text("  numa filtre\n"));
    assert!(unknown.contains("did you mean `filter`?"), "{unknown}");
}
