//! The rules for imports of a crate: they point from the upper layers to the lower ones, and never in a circle.

use std::collections::BTreeSet;

use super::scan::Imports;

/// A layer: its name, its modules, and the layers that it may import with all that these may import.
pub(crate) type Layer = (&'static str, &'static [&'static str], &'static [&'static str]);

pub(crate) fn top(module: &str) -> &str {
    module.split("::").next().unwrap_or(module)
}

/// The layer of a top-level module and its position in it.
fn layer_of<'l>(layers: &'l [Layer], module: &str) -> Option<(&'l Layer, usize)> {
    layers.iter().find_map(|layer| Some((layer, layer.1.iter().position(|name| *name == module)?)))
}

fn may_import(layers: &[Layer], layer: &Layer, other: &str) -> bool {
    let below = |name: &&str| layers.iter().find(|layer| layer.0 == *name).unwrap();
    layer.2.iter().any(|name| *name == other || may_import(layers, below(name), other))
}

/// The imports that point upwards or sideways, between top-level modules.
pub(crate) fn upward(layers: &[Layer], imports: &Imports) -> BTreeSet<String> {
    let edges = imports.iter().flat_map(|(from, to)| to.iter().map(move |to| (top(from), top(to))));
    let is_upward = |from: &str, to: &str| match (layer_of(layers, from), layer_of(layers, to)) {
        (Some((layer, position)), Some((other, lower))) if layer.0 == other.0 => lower > position,
        (Some((layer, _)), Some((other, _))) => !may_import(layers, layer, other.0),
        _ => true,
    };
    edges.filter(|(from, to)| is_upward(from, to)).map(|(from, to)| format!("{from} -> {to}")).collect()
}

/// The modules from which imports within their top-level module lead back to themselves.
pub(crate) fn circular(imports: &Imports) -> BTreeSet<String> {
    let reaches_itself = |module: &&String| {
        let mut reached = BTreeSet::new();
        let mut waiting = vec![*module];
        while let Some(at) = waiting.pop() {
            let inside = imports[at].iter().filter(|to| top(to) == top(module));
            waiting.extend(inside.filter(|to| reached.insert(*to)));
        }
        reached.contains(module)
    };
    imports.keys().filter(reaches_itself).cloned().collect()
}

/// Holds the imports of a crate against its layers.
///
/// # Panics
/// A module has no layer, imports a module above or beside it, or imports itself by way of others.
pub(crate) fn check(layers: &[Layer], imports: &Imports) {
    let found: BTreeSet<String> = imports.keys().map(|module| top(module).to_owned()).collect();
    let listed: BTreeSet<String> = layers.iter().flat_map(|layer| layer.1).map(|module| (*module).to_owned()).collect();
    assert_eq!(found, listed, "left: modules of the crate, right: modules of the table of layers");
    let found = upward(layers, imports);
    assert!(found.is_empty(), "these modules import a module above or beside them: {found:#?}");
    let found = circular(imports);
    for module in &found {
        let inside: Vec<_> =
            imports[module].iter().filter(|to| top(to) == top(module) && found.contains(*to)).collect();
        println!("{module} imports {inside:?}");
    }
    assert!(found.is_empty(), "these modules import each other in a circle: {found:#?}");
}
