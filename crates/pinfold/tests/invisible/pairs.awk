# Compares `ours_<name>` with `twin_<name>` in an assembly listing, instruction by instruction, what they call in the listing included.
# Prints the names that are the same after `same`, those that are not after `other`.

# A label of its own for each place within a function, in order of appearance: listings number them throughout.
function normal(line,    label) {
    while (match(line, /\.LBB[0-9_]+/)) {
        label = substr(line, RSTART, RLENGTH)
        if (!(label in labels)) labels[label] = "place" ++places
        sub(/\.LBB[0-9_]+/, labels[label], line)
    }
    return line
}

# The compiler found two functions to be the same by itself.
$2 == "=" && $1 ~ /^(ours|twin)_/ { alias[$1] = $3; seen[$1] = 1; next }

/^[A-Za-z_][A-Za-z0-9_.$]*:/ {
    name = substr($1, 1, length($1) - 1)
    if (name ~ /^(ours|twin)_/) seen[name] = 1
    places = 0
    split("", labels)
    next
}
/^\.Lfunc_end/ { name = ""; next }
name == "" || /^\t\./ || /^[ \t]*(#|$)/ { next }
{ body[name] = body[name] normal($0) "\n" }

# The instructions of a function, with those of what it calls, so many calls deep, in place of the names.
function code(name, deep,    lines, count, i, text, called) {
    name = name in alias ? alias[name] : name
    count = split(body[name], lines, "\n")
    text = ""
    for (i = 1; i < count; i++) {
        called = lines[i]
        if (sub(/^\tcallq?\t/, "", called) && called in body && deep > 0)
            text = text "{\n" code(called, deep - 1) "}\n"
        else text = text lines[i] "\n"
    }
    return text
}

END {
    for (ours in seen) {
        if (ours !~ /^ours_/) continue
        name = substr(ours, 6)
        twin = "twin_" name
        same = (twin in seen) && code(ours, 2) != "" && code(ours, 2) == code(twin, 2)
        print (same ? "same" : "other"), name
    }
}
