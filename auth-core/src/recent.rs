//! A bounded memory of what was asked for lately.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::mem;
use std::sync::{Mutex, PoisonError};

/// Keeps at most twice `most` values: what was not asked for while `most` others came is forgotten.
pub struct Recent<K, V> {
    most: usize,
    generations: Mutex<Generations<K, V>>,
}

struct Generations<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Eq + Hash, V: Clone> Recent<K, V> {
    /// Nothing yet.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            generations: Mutex::new(Generations {
                young: HashMap::new(),
                old: HashMap::new(),
            }),
        }
    }

    /// What was kept by this key.
    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let mut generations = self
            .generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = generations.young.get(key) {
            return Some(value.clone());
        }
        let (key, value) = generations.old.remove_entry(key)?;
        generations.keep(key, value.clone(), self.most);
        Some(value)
    }

    /// Keeps a value, in place of what had this key.
    pub fn keep(&self, key: K, value: V) {
        let mut generations = self
            .generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        generations.keep(key, value, self.most);
    }
}

impl<K: Eq + Hash, V> Generations<K, V> {
    fn keep(&mut self, key: K, value: V, most: usize) {
        if self.young.len() >= most {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_two_generations_are_kept_and_of_these_what_was_asked_for_last() {
        let recent = Recent::new(100);
        for i in 0..1000 {
            recent.keep(i.to_string(), i);
            assert_eq!(recent.get("0"), Some(0), "asked for all the time");
        }
        for i in 950..1000 {
            assert_eq!(recent.get(i.to_string().as_str()), Some(i), "of the last");
        }
        let generations = recent.generations.lock().unwrap();
        assert!(generations.young.len() + generations.old.len() <= 201);
        assert!(!generations.young.contains_key("1") && !generations.old.contains_key("1"));
    }

    #[test]
    fn what_is_kept_last_by_a_key_is_what_it_has() {
        let recent = Recent::new(1);
        recent.keep("a", 1);
        recent.keep("b", 1);
        recent.keep("a", 2);
        assert_eq!(recent.get("a"), Some(2));
        recent.keep("c", 1);
        assert_eq!(recent.get("a"), Some(2));
    }
}
