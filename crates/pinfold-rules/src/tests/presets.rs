//! The matrix of facts 0.3, release by release.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::super::{ForkRace, PRESETS, Rules, Status};

fn linux(release: &str) -> Rules {
    match Rules::linux(release) {
        Ok(rules) => rules,
        Err(error) => panic!("{release}: {error}"),
    }
}

/// What changes from one release to the next, as `switch=variant`.
fn changes(from: &str, to: &str) -> String {
    let differences = linux(from);
    let changes: Vec<_> = differences
        .diff(&linux(to))
        .map(|difference| [difference.switch.name, difference.right.name].join("="))
        .collect();
    changes.join(" ")
}

#[test]
fn the_oldest_preset_is_linux_3_1() {
    assert_eq!(PRESETS[0], crate::Release::OLDEST.to_string());
    let rules = linux("3.1");
    let all: Vec<_> = Rules::switches()
        .map(|switch| [switch.name, rules.get(switch.name).unwrap()].join("="))
        .collect();
    assert_eq!(
        all.join(" "),
        "pte-cow=map-count-unmerged pmd-cow=map-count huge-zero-write=split hugetlb-cow=map-count large-cow=as-small large-maps=each-page head-recheck=trusted tail-refs=tail-and-head read-gup=as-is fork-pin=share hugetlb-fork=share fork-race=open fork-snapshot=torn \
         numa-skip=never numa-skip-pmd=zero-page numa-areas=large numa-filter=same-node numa-write=kept numa-fault=restore-first thp-numa=alone migration-kind=read-write \
         migration-ad=dropped share-order=flush zero-pin=counted force-write=drop-write \
         gup-numa=honor gup-stack=grow file-pin=allowed longterm-zone=stays direct-io=get process-vm=get write-upgrade=never fast-recheck=entry cow-publish=after-flush \
         table-free=after-walkers collapse-sync=flush collapse-swapped=refused fault-lock=space table-reclaim=unmap rmap-check=after-lock zap-rmap=with-entry zap-munlock=by-walk memcg-lock=in-rmap uffd=wp-anon uffd-wp-flush=late uffd-continue=clean migrate-flush=each \
         swap-flush=each swap-pinned=taken swap-in-cache=through swap-in-reuse=map-count swap-in-write=write-fault swap-stable=ignored swap-zero=written lazy-free=dirty clear-refs-pinned=protected \
         flush-reach=every-cpu remap-flush=after-locks notify=around break-hole=pass interfaces=basic"
    );
}

#[test]
fn each_release_changes_what_the_matrix_says() {
    let table = [
        ("3.1", "3.2", "tail-refs=tail-mapcount interfaces=process-vm"),
        ("3.2", "3.7", ""),
        ("3.7", "3.8", "numa-skip=map-count-anywhere interfaces=numa-balancing"),
        ("3.8", "3.11", "interfaces=soft-dirty"),
        ("3.11", "3.12", ""),
        ("3.12", "3.13", "numa-skip=never numa-areas=writable numa-filter=first-or-same-node"),
        ("3.13", "4.2", ""),
        ("4.2", "4.3", "swap-flush=batched interfaces=userfaultfd"),
        ("4.3", "4.4", ""),
        ("4.4", "4.5", "tail-refs=head-compared interfaces=madv-free"),
        ("4.5", "4.7", ""),
        ("4.7", "4.8", "tail-refs=head-frozen collapse-swapped=brought-back"),
        ("4.8", "4.9", "force-write=dirty-cow"),
        ("4.9", "4.10", "swap-stable=heeded"),
        ("4.10", "4.11", "numa-write=saved interfaces=userfaultfd-events"),
        ("4.11", "4.13", ""),
        ("4.13", "4.14", "interfaces=wipe-on-fork"),
        ("4.14", "4.15", "swap-in-cache=skipped"),
        ("4.15", "4.16", "numa-skip=map-count"),
        ("4.16", "4.18", ""),
        ("4.18", "4.19", "remap-flush=under-lock"),
        ("4.19", "4.20", "numa-filter=early"),
        ("4.20", "5.0", ""),
        ("5.0", "5.1", "pte-cow=map-count longterm-zone=cma interfaces=overflow-refused"),
        ("5.1", "5.5", ""),
        ("5.5", "5.6", "process-vm=pin interfaces=pin-user-pages"),
        ("5.6", "5.7", "interfaces=userfaultfd-wp"),
        ("5.7", "5.8", "read-gup=force-write"),
        (
            "5.8",
            "5.9",
            "pte-cow=ref-count read-gup=as-is fork-pin=copy fork-race=write-protect-first",
        ),
        ("5.9", "5.10", "fork-race=open"),
        ("5.10", "5.11", "fork-race=seq-count swap-pinned=kept clear-refs-pinned=spared"),
        ("5.11", "5.12", "hugetlb-fork=copy uffd-wp-flush=before-copy"),
        ("5.12", "5.13", "numa-fault=migrate-first longterm-zone=moves"),
        ("5.13", "5.14", "head-recheck=again thp-numa=huge uffd=minor interfaces=populate"),
        ("5.14", "5.16", "uffd-continue=dirty"),
        ("5.16", "5.17", "numa-skip=ref-count"),
        (
            "5.17",
            "5.18",
            "pte-cow=ref-count-precise pmd-cow=ref-count zap-munlock=with-mapping \
             swap-in-reuse=ref-count lazy-free=references",
        ),
        (
            "5.18",
            "5.19",
            "pte-cow=exclusive pmd-cow=exclusive hugetlb-cow=exclusive read-gup=unshare-anon \
             fork-pin=copy-if-exclusive hugetlb-fork=copy-guarded \
             migration-kind=exclusive uffd=wp-shared swap-in-reuse=exclusive-or-ref-count",
        ),
        ("5.19", "6.0", "force-write=exclusive write-upgrade=exclusive-dirty fast-recheck=on"),
        (
            "6.0",
            "6.1",
            "migration-ad=carried share-order=barriers collapse-sync=interrupt break-hole=refuse",
        ),
        (
            "6.1",
            "6.2",
            "read-gup=unshare-all numa-write=recomputed write-upgrade=exclusive \
             zap-rmap=dirty-after-flush memcg-lock=mover",
        ),
        (
            "6.2",
            "6.4",
            "numa-areas=accessed fault-lock=area uffd=wp-unpopulated migrate-flush=batched swap-pinned=kept-unmapped",
        ),
        (
            "6.4",
            "6.5",
            "zero-pin=free gup-numa=follow gup-stack=refuse file-pin=refused direct-io=pin",
        ),
        ("6.5", "6.7", "numa-areas=accessed-in-turn"),
        ("6.7", "6.8", "large-cow=never swap-in-cache=skipped-alone"),
        ("6.8", "6.9", ""),
        ("6.9", "6.10", "numa-skip=pinned-or-likely-shared thp-numa=folio"),
        ("6.10", "6.11", "numa-fault=isolate-under-lock"),
        ("6.11", "6.13", "huge-zero-write=folio swap-in-write=if-allowed swap-zero=marked"),
        ("6.13", "6.14", "longterm-zone=moves-isolated table-reclaim=dont-need"),
        (
            "6.14",
            "6.15",
            "large-cow=by-owner large-maps=each-page-and-owner numa-skip=pinned-or-maybe-shared",
        ),
        ("6.15", "6.18", "longterm-zone=moves"),
        ("6.18", "6.19", "numa-skip=pinned-anywhere numa-skip-pmd=as-page"),
        ("6.19", "7.2", ""),
        ("7.2", "7.3", "pte-cow=exclusive-tight swap-in-cache=through swap-in-reuse=exclusive"),
        ("7.3", "latest", ""),
        ("latest", "pinfold", "large-maps=owner fork-race=seq-count-full memcg-lock=mover-waits"),
    ];
    for (from, to, expected) in table {
        assert_eq!(changes(from, to), expected, "{from} to {to}");
    }
}

#[test]
fn the_default_is_our_own() {
    assert_eq!(linux("pinfold"), Rules::default());
    assert_eq!(linux("default"), Rules::default());
    assert_eq!(Rules::default().fork_race, ForkRace::SeqCountFull);
}

#[test]
fn presets_for_comparison_exist_and_keep_their_names() {
    for &name in PRESETS {
        let shown = linux(name).to_string();
        let newest = crate::Release::NEWEST.to_string();
        let name = if name == "latest" { newest.as_str() } else { name };
        assert_eq!(shown.trim_start_matches("linux-"), name);
    }
}

#[test]
fn only_never_released_variants_have_no_release() {
    let mut never = Vec::new();
    for switch in Rules::switches() {
        for variant in switch.variants {
            assert_eq!(variant.since == "never", variant.status == Status::NeverReleased);
            if variant.status == Status::NeverReleased {
                never.push(variant.name);
            }
        }
    }
    assert_eq!(
        never,
        [
            "forgotten",
            "owner",
            "tail-mapcount-first",
            "seq-count-full",
            "protected",
            "lost",
            "off",
            "before-flush",
            "at-once",
            "before-lock",
            "when-freed",
            "with-entry",
            "forgotten",
            "mover-waits",
            "around-counts",
            "none",
            "this-cpu",
            "afterwards"
        ]
    );
}

#[test]
fn a_variant_that_came_back_names_both_releases() {
    assert_eq!(ForkRace::VARIANTS[0].since, "the beginning and again 5.10");
    assert_eq!(ForkRace::VARIANTS[1].since, "5.9");
}

#[test]
fn every_description_is_one_trimmed_text_with_its_source() {
    for switch in Rules::switches() {
        assert!(switch.doc.contains("facts "), "{}", switch.name);
        for variant in switch.variants {
            assert!(variant.doc.contains("facts "), "{}={}", switch.name, variant.name);
            assert_eq!(variant.doc.trim(), variant.doc);
            assert!(!variant.doc.contains("  "), "{}={}", switch.name, variant.name);
        }
    }
}

#[test]
fn names_are_kebab_case_and_unique() {
    let mut switches: Vec<_> = Rules::switches().map(|switch| switch.name).collect();
    for switch in Rules::switches() {
        let mut variants: Vec<_> = switch.variants.iter().map(|variant| variant.name).collect();
        for name in variants.iter().chain([&switch.name]) {
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{name}");
        }
        variants.sort_unstable();
        variants.dedup();
        assert_eq!(variants.len(), switch.variants.len(), "{}", switch.name);
    }
    let count = switches.len();
    switches.sort_unstable();
    switches.dedup();
    assert_eq!(switches.len(), count);
}
