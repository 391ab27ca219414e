//! The state of the list, which is its URL.
//!
//! The names are those of existing viewers, and so is the shape: a parameter holds values with commas between them. Forms
//! repeat a parameter instead; both are read.

use form_urlencoded::Serializer;

use devfile_registry::limits::PICKED_VALUES;

use super::facet::{FACETS, Facet, VALUE_BYTES};
use super::text::start;
use crate::http::query::pairs;
use crate::view::text::fold;

/// The order of hits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Sort {
    /// The best hit first when there is a search, by name otherwise.
    #[default]
    Relevance,
    /// By display name.
    Name,
    /// The last changed first.
    Modified,
    /// The last added first.
    Newest,
}

impl Sort {
    /// Every order with its name in URLs and for people.
    pub(crate) const ALL: [(Self, &'static str, &'static str); 4] = [
        (Self::Relevance, "relevance", "Best match"),
        (Self::Name, "name", "Name"),
        (Self::Modified, "modified", "Recently updated"),
        (Self::Newest, "newest", "Newest"),
    ];

    /// Its name in URLs.
    pub(crate) fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(sort, ..)| *sort == self).map_or("", |(_, name, _)| name)
    }
}

/// The part of the list that a request asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ListQuery {
    /// Words to find, as typed.
    pub(crate) search: String,
    /// The page, from 1.
    pub(crate) page: usize,
    /// The order.
    pub(crate) sort: Sort,
    /// Picked values by facet, as written and each once.
    picked: [Vec<String>; FACETS],
}

/// Longest search that is read; the rest of a longer one is cut off.
const SEARCH_CHARS: usize = 200;

impl ListQuery {
    /// Reads a query string. Nothing is an error: senseless values are ignored, and so are values after the first
    /// [`PICKED_VALUES`].
    ///
    /// `is_known` decides whether a text is a value of a facet as a whole, so that a comma in it does not divide it.
    pub(crate) fn parse(raw: &str, is_known: impl Fn(Facet, &str) -> bool) -> Self {
        let mut query = Self { page: 1, ..Self::default() };
        for (name, value) in pairs(raw) {
            match name.as_ref() {
                "search" => query.search = start(value.trim(), SEARCH_CHARS).to_owned(),
                "page" => query.page = value.parse().unwrap_or(1).max(1),
                "sort" => {
                    let found = Sort::ALL.into_iter().find(|(_, name, _)| *name == value);
                    query.sort = found.map_or(Sort::default(), |(sort, ..)| sort);
                }
                name => {
                    if let Some(facet) = Facet::from_parameter(name).filter(|_| !query.is_full()) {
                        let whole = is_known(facet, &value);
                        let values = if whole { vec![value.as_ref()] } else { value.split(',').collect() };
                        values.into_iter().for_each(|value| query.pick(facet, value));
                    }
                }
            }
        }
        query
    }

    fn pick(&mut self, facet: Facet, value: &str) {
        let value = value.trim();
        // Existing viewers have the tag; here it is a facet of its own.
        let (facet, value) = if facet == Facet::Tags && fold(value) == "deprecated" {
            (Facet::Deprecated, "Yes")
        } else {
            (facet, value)
        };
        let fits = (1..=VALUE_BYTES).contains(&value.len()) && !self.is_full();
        let values = &mut self.picked[facet as usize];
        if fits && !values.iter().any(|known| fold(known) == fold(value)) {
            values.push(value.to_owned());
        }
    }

    fn is_full(&self) -> bool {
        self.picked.iter().map(Vec::len).sum::<usize>() >= PICKED_VALUES
    }

    /// The picked values of a facet.
    pub(crate) fn picked(&self, facet: Facet) -> &[String] {
        &self.picked[facet as usize]
    }

    /// Whether everything is shown.
    pub(crate) fn is_open(&self) -> bool {
        self.search.is_empty() && self.picked.iter().all(Vec::is_empty)
    }

    /// The list with nothing picked and nothing searched, but the same order.
    pub(crate) fn opened(&self) -> Self {
        Self { page: 1, sort: self.sort, ..Self::default() }
    }

    /// The list on another page.
    pub(crate) fn on_page(&self, page: usize) -> Self {
        Self { page, ..self.clone() }
    }

    /// The list without a search.
    pub(crate) fn without_search(&self) -> Self {
        Self { search: String::new(), page: 1, ..self.clone() }
    }

    /// The list without one picked value.
    pub(crate) fn without(&self, facet: Facet, value: &str) -> Self {
        let mut query = self.on_page(1);
        query.picked[facet as usize].retain(|known| known != value);
        query
    }

    /// The list of the results of a search.
    pub(crate) fn searching(search: &str) -> Self {
        Self { search: start(search, SEARCH_CHARS).to_owned(), page: 1, ..Self::default() }
    }

    /// The list of everything with one value.
    pub(crate) fn only(facet: Facet, value: &str) -> Self {
        let mut query = Self { page: 1, ..Self::default() };
        query.pick(facet, value);
        query
    }

    /// The URL of the list in this state, without default values.
    pub(crate) fn href(&self) -> String {
        let mut out = Serializer::new(String::new());
        if !self.search.is_empty() {
            out.append_pair("search", &self.search);
        }
        for facet in Facet::ALL {
            for value in self.picked(facet) {
                out.append_pair(facet.parameter(), value);
            }
        }
        if self.sort != Sort::default() {
            out.append_pair("sort", self.sort.name());
        }
        if self.page > 1 {
            out.append_pair("page", &self.page.to_string());
        }
        let query = out.finish();
        if query.is_empty() { "/viewer".to_owned() } else { format!("/viewer?{query}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(raw: &str) -> ListQuery {
        ListQuery::parse(raw, |facet, value| facet == Facet::Providers && value == "Acme, Inc.")
    }

    #[test]
    fn links_of_existing_viewers_work() {
        let old = parse(
            "page=2&search=go&registries=Community&tags=Java,Node.js&types=stack&providers=Red%20Hat&languages=Go",
        );
        assert_eq!(old.page, 2);
        assert_eq!(old.search, "go");
        assert_eq!(old.picked(Facet::Tags), ["Java", "Node.js"]);
        assert_eq!(old.picked(Facet::Providers), ["Red Hat"]);
        assert_eq!(parse("tags=Java&tags=Node.js").picked(Facet::Tags), ["Java", "Node.js"]);
        assert_eq!(parse("tags=Deprecated").picked(Facet::Deprecated), ["Yes"]);
        assert_eq!(parse("providers=Acme%2C+Inc.").picked(Facet::Providers), ["Acme, Inc."]);
    }

    #[test]
    fn meaningless_parameter_of_a_list_is_left_out() {
        for raw in ["", "page=0", "page=-1", "page=x", "search=+", "tags=,,&sort=up", "other=1", "&&=&%zz", "tags="] {
            assert_eq!(parse(raw), ListQuery { page: 1, ..ListQuery::default() }, "{raw}");
        }
        assert_eq!(parse("tags=go&tags=Go,GO").picked(Facet::Tags), ["go"]);
        assert_eq!(parse(&format!("search={}", "a".repeat(5000))).search.len(), SEARCH_CHARS);
    }

    #[test]
    fn values_beyond_twenty_are_left_out_over_all_facets() {
        let query = parse(&format!(
            "types=stack&tags={}&languages=Go",
            "a,b,".repeat(3) + &(0..100).map(|n| format!("x{n},")).collect::<String>()
        ));
        let picked: Vec<&String> = Facet::ALL.into_iter().flat_map(|facet| query.picked(facet)).collect();
        assert_eq!(
            (picked.len(), picked[0].as_str(), picked[PICKED_VALUES - 1].as_str()),
            (PICKED_VALUES, "stack", "x16")
        );
        assert!(query.picked(Facet::Languages).is_empty());
        assert!(parse(&format!("tags={}", "a".repeat(VALUE_BYTES + 1))).is_open());
    }

    #[test]
    fn url_of_a_list_leaves_out_the_defaults() {
        assert_eq!(parse("page=1&sort=relevance").href(), "/viewer");
        assert_eq!(parse("tags=C%23,a&sort=modified").href(), "/viewer?tags=C%23&tags=a&sort=modified");
        assert_eq!(parse("search=a&tags=x&page=3").without(Facet::Tags, "x").href(), "/viewer?search=a");
        assert_eq!(parse("search=a&tags=x&page=3").without_search().href(), "/viewer?tags=x");
        assert_eq!(ListQuery::only(Facet::Tags, "a&b").href(), "/viewer?tags=a%26b");
    }

    proptest! {
        #[test]
        fn a_url_says_the_whole_state(raw in "([a-z]{0,3}|search|tags|page|sort|types)=[%+,&=0-9a-zA-Z.é<\"-]{0,30}") {
            let query = parse(&raw);
            let href = query.href();
            prop_assert!(!href.contains(['<', '"']));
            let again = ListQuery::parse(href.split_once('?').map_or("", |(_, raw)| raw), |_, _| true);
            prop_assert_eq!(again, query);
        }
    }
}
