//! Which items of a bank an exam asks, and in which order.
//!
//! The exam's id decides: the same id picks the same items. What was picked is recorded when the exam
//! starts, so a later version of this code may pick differently.

use std::collections::BTreeMap;

use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::{IndexedMutRandom, SliceRandom};
use sha2::{Digest, Sha256};

use super::value::{AskedItem, QuestionCount};
use crate::exams::question_bank::{Bank, Item};
use crate::id::ExamId;

/// The age in years that somebody of unknown age is asked as: an adult.
pub const ASSUMED_AGE: u8 = 18;
/// How many places the two items of a pair are apart at least.
pub const PAIR_DISTANCE: usize = 3;
/// One pair is asked for every so many items.
pub const ITEMS_PER_PAIR: usize = 5;
/// One of so many items is reverse-keyed, as far as the bank has them.
pub const ITEMS_PER_REVERSED: usize = 3;
/// How many orders are drawn before one is laid out that needs no luck.
const DRAWS: usize = 64;

/// Picks `count` items of `bank` that are fit for `age` (in years; unknown counts as [`ASSUMED_AGE`]), all
/// of those when there are fewer.
///
/// Whole pairs come first, one for every five items, spread over the categories. Single items then go to
/// the category that has the fewest so far, reverse-keyed ones while fewer than a third are. A pair is
/// split only when nothing else is left. From five items on, partners stand at least three places apart.
#[must_use]
pub fn select(
    bank: &Bank,
    count: QuestionCount,
    age: Option<u8>,
    exam_id: ExamId,
) -> Vec<AskedItem> {
    let mut chance = Xoshiro256PlusPlus::from_seed(Sha256::digest(exam_id.0.as_bytes()).into());
    let mut pool = Pool::new(bank, age.unwrap_or(ASSUMED_AGE), &mut chance);
    let count = usize::from(count.get());
    let mut picked = Picked::default();
    while picked.pairs.len() < count / ITEMS_PER_PAIR
        && let Some(pair) = pool.take_pair(&picked)
    {
        picked.pairs.push(pair);
    }
    while picked.len() < count && pool.fill(&mut picked, count, &mut chance) {}
    picked.in_order(&mut chance)
}

type Pair<'a> = (&'a Item, &'a Item);

/// What is left of one category.
#[derive(Default)]
struct Shelf<'a> {
    name: &'a str,
    pairs: Vec<Pair<'a>>,
    singles: Vec<&'a Item>,
}

/// What is left of the bank, in an order of chance.
struct Pool<'a>(Vec<Shelf<'a>>);

impl<'a> Pool<'a> {
    fn new(bank: &'a Bank, age: u8, chance: &mut Xoshiro256PlusPlus) -> Self {
        let fit: BTreeMap<&str, &Item> = bank
            .items
            .iter()
            .filter(|item| item.is_fit_for(age))
            .map(|item| (item.id.as_str(), item))
            .collect();
        let mut shelves: BTreeMap<&str, Shelf<'a>> = BTreeMap::new();
        for item in fit.values() {
            let shelf = shelves.entry(&item.category).or_default();
            shelf.name = &item.category;
            match item.pair.as_deref().and_then(|pair| fit.get(pair)) {
                Some(partner) if item.id < partner.id => shelf.pairs.push((item, partner)),
                Some(_) => {}
                None => shelf.singles.push(item),
            }
        }
        let mut shelves: Vec<_> = shelves.into_values().collect();
        shelves.shuffle(chance);
        for shelf in &mut shelves {
            shelf.pairs.shuffle(chance);
            shelf.singles.shuffle(chance);
        }
        Self(shelves)
    }

    /// A pair of the category that has the fewest items so far.
    fn take_pair(&mut self, picked: &Picked<'_>) -> Option<Pair<'a>> {
        self.0
            .iter_mut()
            .filter(|shelf| !shelf.pairs.is_empty())
            .min_by_key(|shelf| picked.of_category(shelf.name))?
            .pairs
            .pop()
    }

    /// Adds one item, or two of a pair, of the category that has the fewest so far, before others one that
    /// has single items left; false when the pool is empty.
    fn fill(
        &mut self,
        picked: &mut Picked<'a>,
        count: usize,
        chance: &mut Xoshiro256PlusPlus,
    ) -> bool {
        let has_room_for_pair = picked.len() + 2 <= count;
        let has_singles = self.0.iter().any(|shelf| !shelf.singles.is_empty());
        let may_take_pair = has_room_for_pair || !has_singles;
        let mut open: Vec<&mut Shelf<'a>> = self.0.iter_mut().collect();
        open.retain(|shelf| {
            !shelf.singles.is_empty() || (may_take_pair && !shelf.pairs.is_empty())
        });
        let rank = |shelf: &Shelf<'_>| (picked.of_category(shelf.name), shelf.singles.is_empty());
        let first = open.iter().map(|shelf| rank(shelf)).min();
        open.retain(|shelf| Some(rank(shelf)) == first);
        let Some(category) = open.choose_mut(chance) else {
            return false;
        };
        if category.singles.is_empty() {
            match category.pairs.pop() {
                Some(pair) if has_room_for_pair => picked.pairs.push(pair),
                Some((item, _)) => picked.singles.push(item),
                None => return false,
            }
            return true;
        }
        let wants_reversed = picked.reversed() * ITEMS_PER_REVERSED < picked.len() + 1;
        let place = category
            .singles
            .iter()
            .position(|item| item.reverse_keyed == wants_reversed)
            .unwrap_or(0);
        picked.singles.push(category.singles.swap_remove(place));
        true
    }
}

/// What an exam asks.
#[derive(Default)]
struct Picked<'a> {
    pairs: Vec<Pair<'a>>,
    singles: Vec<&'a Item>,
}

impl<'a> Picked<'a> {
    fn items(&self) -> impl Iterator<Item = &'a Item> {
        let firsts = self.pairs.iter().map(|pair| pair.0);
        let seconds = self.pairs.iter().map(|pair| pair.1);
        firsts.chain(self.singles.iter().copied()).chain(seconds)
    }

    fn len(&self) -> usize {
        self.pairs.len() * 2 + self.singles.len()
    }

    fn of_category(&self, category: &str) -> usize {
        self.items()
            .filter(|item| item.category == category)
            .count()
    }

    fn reversed(&self) -> usize {
        self.items().filter(|item| item.reverse_keyed).count()
    }

    fn in_order(&self, chance: &mut Xoshiro256PlusPlus) -> Vec<AskedItem> {
        // firsts, singles, seconds: partners stand as many places apart as there are pairs and singles
        let laid_out: Vec<&Item> = self.items().collect();
        let mut order = laid_out.clone();
        let drawn = (0..DRAWS).any(|_| {
            order.shuffle(chance);
            self.is_well_spaced(&order)
        });
        let order = if drawn { order } else { laid_out };
        order.into_iter().map(|item| self.asked(item)).collect()
    }

    fn is_well_spaced(&self, order: &[&Item]) -> bool {
        self.pairs.iter().all(|(first, second)| {
            let place = |id: &str| order.iter().position(|item| item.id == id);
            match (place(&first.id), place(&second.id)) {
                (Some(first), Some(second)) => first.abs_diff(second) >= PAIR_DISTANCE,
                _ => false,
            }
        })
    }

    fn asked(&self, item: &Item) -> AskedItem {
        let is_whole = self
            .pairs
            .iter()
            .any(|(first, second)| first.id == item.id || second.id == item.id);
        let mut asked = AskedItem::from(item);
        asked.pair = asked.pair.filter(|_| is_whole);
        asked
    }
}
