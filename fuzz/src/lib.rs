//! The checks that the fuzz targets run on their bytes. `tests/tests/fuzz.rs` does the same with seeds that it changes a little.

use devfile_registry::report::{Colour, human};
use devfile_registry::repository::Repository;
use devfile_registry::tree::{File, Tree, TreePath};
use devfile_registry::validate::{self, Surroundings};
use std::sync::LazyLock;

use devfile_registry::index::{Entry, VersionEntry};
use devfile_registry::limits::{PAGE_BYTES, QUERY_BYTES};
use serve::{Gallery, IndexSchema, Query};

/// Checks a devfile that is also its own parent, and prints its problems.
pub fn devfile(bytes: &[u8]) {
    let files = |_: &str| Some(bytes.to_vec().into());
    let around = Surroundings { files: &files, ..Surroundings::ALONE };
    let checked = validate::devfile("devfile.yaml", bytes, &around);
    let shown = human(&checked.diagnostics, &files, Colour::Always);
    assert!(checked.is_valid() || !shown.is_empty() || !checked.of_parents.is_empty());
}

/// Reads a registry repository in which the bytes are every file that is read.
pub fn stack(bytes: &[u8]) {
    let mut tree = Tree::default();
    for path in [
        "stacks/kiln/stack.yaml",
        "stacks/kiln/1.0.0/devfile.yaml",
        "stacks/loom/devfile.yaml",
        "extraDevfileEntries.yaml",
        "last_modified.json",
        "samples/pot/devfile.yaml",
    ] {
        let path = TreePath::parse(path).expect("a plain path");
        tree.insert(path, File::plain(bytes.to_vec())).expect("a small tree");
    }
    let repository = Repository::parse(&tree);
    assert!(repository.stacks.iter().all(|stack| !stack.fields.name.is_empty()));
}

/// Reads the query of an index route. Unknown parameters make no difference in any position.
pub fn query(bytes: &[u8]) {
    let Ok(query) = std::str::from_utf8(bytes) else { return };
    for schema in [IndexSchema::V1, IndexSchema::V2] {
        let with_more = format!("kiln=1&{query}&kiln");
        assert_eq!(Query::parse(schema, query), Query::parse(schema, &with_more));
    }
}

/// A registry of a usual size, with values that grow on a page.
static GALLERY: LazyLock<Gallery> = LazyLock::new(|| {
    let entry = |number: usize| Entry {
        name: format!("kiln-{number}"),
        display_name: format!("Kiln {number}"),
        description: "Bakes pages & <serves> them".repeat(number % 5),
        tags: (0..number % 12).map(|tag| format!("\"tag\", {tag}&")).collect(),
        language: format!("Language {}", number % 9),
        provider: format!("Potters, Inc. {}", number % 7),
        architectures: vec!["amd64".into(), "arm64".into()],
        versions: vec![VersionEntry { schema_version: format!("2.{}.0", number % 4), ..VersionEntry::default() }],
        ..Entry::default()
    };
    Gallery::new((0..100).map(entry).collect())
});

/// Asks for a list of the viewer: for every query it is a page of a bounded size, and so is one that a link on it leads to.
pub fn viewer(bytes: &[u8]) {
    let Ok(query) = std::str::from_utf8(bytes) else { return };
    let query = &query[..query.floor_char_boundary(QUERY_BYTES)];
    let page = GALLERY.list(query).expect("a page within the bound");
    assert!(page.len() <= PAGE_BYTES / 4, "{} bytes", page.len());
    let links = page.split("href=\"/viewer?").skip(1).filter_map(|rest| rest.split('"').next());
    for link in links.take(2) {
        let page = GALLERY.list(&link.replace("&amp;", "&")).expect("a page within the bound");
        assert!(page.len() <= PAGE_BYTES / 4, "{} bytes", page.len());
    }
}
