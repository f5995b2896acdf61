//! Keeps the order of the rooms: a module may use those above it in `lib.rs`, never those below.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// (room, room below it that it uses, why this is right)
const EXCEPTIONS: &[(&str, &str, &str)] = &[];

#[test]
fn no_room_uses_one_below_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let lib = fs::read_to_string(src.join("lib.rs")).expect("lib.rs");
    let rooms: Vec<&str> =
        lib.lines().filter_map(|line| room_of(line)?.strip_suffix(';')).collect();
    assert!(rooms.len() > 10, "{rooms:?}");

    let mut wrong = Vec::new();
    let mut used_exceptions = Vec::new();
    for file in sources(&src) {
        let path = file.strip_prefix(&src).expect("below src").with_extension("");
        let room = path.components().next().expect("a name").as_os_str().to_string_lossy();
        let Some(place) = rooms.iter().position(|r| *r == room) else { continue };
        let text = fs::read_to_string(&file).expect("readable");
        for used in used_rooms(&text) {
            if !rooms.iter().skip(place + 1).any(|below| *below == used) {
                continue;
            }
            match EXCEPTIONS.iter().find(|e| (e.0, e.1) == (&*room, &*used)) {
                Some(exception) => used_exceptions.push(exception),
                None => {
                    wrong.push(format!("{} uses {used}, which is below {room}", path.display()))
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for e in EXCEPTIONS {
        assert!(used_exceptions.contains(&e), "the exception {e:?} is not needed any more");
    }
}

/// What a line of `lib.rs` declares: a room for all, or one of the crate's own.
fn room_of(line: &str) -> Option<&str> {
    line.strip_prefix("pub mod ").or_else(|| line.strip_prefix("pub(crate) mod "))
}

/// All Rust files below a directory but for files of tests.
fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("readable") {
        let path = entry.expect("readable").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && name != "tests" {
            found.extend(sources(&path));
        } else if name.ends_with(".rs") && !["tests.rs", "lib.rs", "main.rs"].contains(&&*name) {
            found.push(path);
        }
    }
    found
}

/// First names of paths that begin with `crate::`, outside comments and unit tests.
fn used_rooms(source: &str) -> Vec<String> {
    let end = source.find("#[cfg(test)]\nmod ").unwrap_or(source.len());
    let code: String = source[..end]
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join(" ");
    let mut rooms = Vec::new();
    for part in code.split("crate::").skip(1) {
        match part.strip_prefix('{') {
            Some(group) => rooms.extend(group_heads(group)),
            None => rooms.push(name(part)),
        }
    }
    rooms
}

/// `a::{b, c}, d}` → a, d
fn group_heads(group: &str) -> Vec<String> {
    let (mut depth, mut heads, mut start) = (0, Vec::new(), true);
    for (i, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => start = true,
            c if start && !c.is_whitespace() => {
                heads.push(name(&group[i..]));
                start = false;
            }
            _ => {}
        }
    }
    heads
}

fn name(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[test]
fn uses_are_found() {
    let source = "use crate::{\n    a::{b, c}, // crate::comment\n    d,\n};\nlet x = crate::e::f();\n\
        #[cfg(test)]\nmod tests { use crate::z; }";
    assert_eq!(used_rooms(source), ["a", "d", "e"]);
}
