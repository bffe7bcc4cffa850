//! Decides which parts are held out together.
//!
//! A score is only held out if the template knew nothing that resembles the part more than a future part will. Pictures
//! of one item resemble each other. So do pictures that were taken one after another, because light, lens and tool
//! change slowly. So parts are held out in runs of their order. Parts that belong to one item by their names always
//! stay together. A fold of several runs takes runs that are far apart. The reason is that names are often sorted by
//! kind, and a template without a whole kind knows less than the one that is delivered.

use super::exposures::Parts;
use crate::template::Grouping;
use std::cmp::Ordering;
use std::collections::HashMap;

/// The smallest number of items for which names count as naming items.
const FEWEST_ITEMS: usize = 10;
/// The largest share of all parts that one item may hold. A larger group is a kind or a day, and the rest of the parts
/// knows nothing of it.
const LARGEST_ITEM: f64 = 0.125;
/// The smallest number of runs in which parts are held out, if there are enough parts.
const RUNS: usize = 20;

/// Says how parts are dealt into folds.
#[derive(Debug, Clone, PartialEq)]
pub struct Dealt {
    /// The fold of every part.
    pub fold: Vec<u32>,
    /// The number of folds.
    pub folds: usize,
    /// The number of items. It equals the number of parts if nothing says which parts belong together.
    pub items: usize,
    /// What says which parts are one item.
    pub grouping: Grouping,
}

impl Dealt {
    /// Returns the fold of every picture.
    pub fn of_pictures(&self, parts: &Parts) -> Vec<u32> {
        parts.of_picture.iter().map(|&part| self.fold[part as usize]).collect()
    }
}

/// Deals parts of the given names into at most `folds` folds. A fold consists of runs of items in the order of their
/// names. `label` returns the item of a name, if the caller knows it.
pub fn deal(names: &[&str], label: Option<&dyn Fn(&str) -> String>, folds: usize) -> Dealt {
    let (labels, grouping) = match label {
        Some(label) => (names.iter().map(|n| label(n)).collect(), Grouping::Pattern),
        None => match items_of(names) {
            Some(items) => (items, Grouping::Names),
            None => (names.iter().map(|n| n.to_string()).collect::<Vec<_>>(), Grouping::Order),
        },
    };
    // Items are in the order of their first names. Without a grouping, each part is an item.
    let mut order: Vec<usize> = (0..names.len()).collect();
    order.sort_by(|&a, &b| natural(names[a], names[b]).then(a.cmp(&b)));
    let mut number = HashMap::new();
    let mut items: Vec<Vec<usize>> = Vec::new();
    for &part in &order {
        let key = match grouping {
            Grouping::Order => (part, ""),
            _ => (0, labels[part].as_str()),
        };
        let item = *number.entry(key).or_insert(items.len());
        match items.get_mut(item) {
            Some(members) => members.push(part),
            None => items.push(vec![part]),
        }
    }
    // A run in the order of the names needs at least two parts.
    let least = if grouping == Grouping::Order { 2 } else { 1 };
    let most = (items.len() / least).max(2).min(items.len());
    let count = (folds * RUNS.div_ceil(folds.max(1))).min(most).max(1);
    let folds = folds.min(count).max(1);
    let run = runs(&items, names.len(), count);
    let fold = run.into_iter().map(|run| run % folds as u32).collect();
    Dealt { fold, folds, items: items.len(), grouping }
}

/// Returns the run of every part. There are `count` runs of items with about equal numbers of parts.
fn runs(items: &[Vec<usize>], parts: usize, count: usize) -> Vec<u32> {
    let mut run = vec![0; parts];
    let (mut before, mut current) = (0, 0);
    for (item, members) in items.iter().enumerate() {
        // Take the run in which the middle of the item lies. Never go back to an earlier run, and leave none out.
        let wanted = (2 * before + members.len()) * count / (2 * parts);
        let needed = count.saturating_sub(items.len() - item);
        let next = if item == 0 { 0 } else { wanted.min(current + 1).max(current) };
        current = next.max(needed).min(count - 1);
        members.iter().for_each(|&part| run[part] = current as u32);
        before += members.len();
    }
    run
}

/// Returns the item of every name if the names look like names of items: several parts each, and no item with too many.
fn items_of(names: &[&str]) -> Option<Vec<String>> {
    let items: Vec<String> = names.iter().map(|name| item_of(name).to_string()).collect();
    let mut sizes: HashMap<&str, usize> = HashMap::new();
    items.iter().for_each(|item| *sizes.entry(item).or_default() += 1);
    let largest = sizes.values().copied().max().unwrap_or(0);
    let is_items = sizes.len() >= FEWEST_ITEMS
        && sizes.len() < names.len()
        && largest as f64 <= LARGEST_ITEM * names.len() as f64;
    is_items.then_some(items)
}

/// Returns a name without its extension, up to its last separator. Without a separator it ends before the number at its
/// end.
fn item_of(name: &str) -> &str {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    match stem.rfind(['_', '-', ' ', '.']) {
        Some(at) => &stem[..at],
        None => stem.trim_end_matches(|c: char| c.is_ascii_digit()),
    }
}

/// Compares names so that 9 comes before 10.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let digits = |s: &str| s.bytes().take_while(u8::is_ascii_digit).count();
        let (in_a, in_b) = (digits(a), digits(b));
        if in_a > 0 && in_b > 0 {
            let value = |s: &str| s.trim_start_matches('0').to_string();
            let (x, y) = (value(&a[..in_a]), value(&b[..in_b]));
            match x.len().cmp(&y.len()).then(x.cmp(&y)) {
                Ordering::Equal => (a, b) = (&a[in_a..], &b[in_b..]),
                unequal => return unequal,
            }
            continue;
        }
        let (mut rest_a, mut rest_b) = (a.chars(), b.chars());
        match (rest_a.next(), rest_b.next()) {
            (Some(x), Some(y)) if x == y => (a, b) = (rest_a.as_str(), rest_b.as_str()),
            (x, y) => return x.cmp(&y),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize, name: impl Fn(usize) -> String) -> Vec<String> {
        (0..count).map(name).collect()
    }

    fn dealt(names: &[String], folds: usize) -> Dealt {
        deal(&names.iter().map(String::as_str).collect::<Vec<_>>(), None, folds)
    }

    #[test]
    fn numbers_are_held_out_in_runs_of_their_order() {
        let mut all = names(20, |i| format!("{i}.png"));
        let found = dealt(&all, 5);
        assert_eq!(found.fold, (0..20).map(|i| i / 2 % 5).collect::<Vec<u32>>());
        assert_eq!((found.items, found.grouping), (20, Grouping::Order));
        // The order follows the numbers, wherever a picture stands in the list.
        all.reverse();
        let reversed: Vec<u32> = found.fold.iter().rev().copied().collect();
        assert_eq!(dealt(&all, 5).fold, reversed);
        let folds = |count, folds| dealt(&names(count, |i| format!("{i}.png")), folds).folds;
        assert_eq!([folds(2, 10), folds(5, 10), folds(9, 10), folds(40, 10)], [2, 2, 4, 10]);
    }

    #[test]
    fn names_tell_items_only_where_they_are_many_and_small() {
        let items = dealt(&names(60, |i| format!("kos{:02}_Part{}.jpg", i / 6, i % 6)), 5);
        assert_eq!((items.items, items.grouping), (10, Grouping::Names));
        for i in 0..60 {
            assert_eq!(items.fold[i], items.fold[i / 6 * 6]);
        }
        let lights = dealt(&names(60, |i| format!("exp{}_num_{i}.jpg", i % 6)), 5);
        assert_eq!((lights.items, lights.grouping), (60, Grouping::Order));
        assert_eq!(dealt(&names(60, |i| format!("{i:05}_OK_Image.jpg")), 5).items, 60);
    }

    #[test]
    fn a_label_says_what_belongs_together() {
        let all = names(12, |i| format!("{i}_lot{}.png", i % 3));
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let lot = |name: &str| name.split('_').next_back().unwrap_or_default().to_string();
        let found = deal(&all, Some(&lot), 5);
        assert_eq!((found.folds, found.items, found.grouping), (3, 3, Grouping::Pattern));
        assert_eq!(found.fold, [0, 1, 2].repeat(4));
    }

    proptest::proptest! {
        #[test]
        fn no_fold_is_empty_and_no_item_is_torn(
            sizes in proptest::collection::vec(1usize..9, 2..30), folds in 2usize..9
        ) {
            let item = |(i, size): (usize, &usize)| (0..*size).map(move |j| (i, j)).collect();
            let parts: Vec<(usize, usize)> =
                sizes.iter().enumerate().flat_map::<Vec<_>, _>(item).collect();
            let all: Vec<String> = parts.iter().map(|(i, j)| format!("{i}_{j}")).collect();
            let all: Vec<&str> = all.iter().map(String::as_str).collect();
            let label = |name: &str| name.split('_').next().unwrap_or_default().to_string();
            let found = deal(&all, Some(&label), folds);
            proptest::prop_assert_eq!(found.folds, folds.min(sizes.len()));
            for fold in 0..found.folds {
                proptest::prop_assert!(found.fold.contains(&(fold as u32)), "{:?}", found);
            }
            for (a, part) in parts.iter().enumerate() {
                for (b, other) in parts.iter().enumerate() {
                    let same = part.0 != other.0 || found.fold[a] == found.fold[b];
                    proptest::prop_assert!(same);
                }
            }
        }
    }
}
