//! A queue for a few slots that is fair between keys, however many of one key are waiting.
//!
//! A free slot goes to the key that holds the fewest; of several, to the one that has waited for its turn longest. So a
//! key that comes with one thing to do waits until a slot is free and no longer, whatever the others have in the queue.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The queue.
pub(crate) struct FairQueue<K: Key>(Mutex<State<K>>);

/// By what those who wait are told apart.
pub(crate) trait Key: Copy + Eq + Hash {}

impl<K: Copy + Eq + Hash> Key for K {}

struct State<K: Key> {
    free: usize,
    /// Keys with somebody waiting, each once, in the order of their turns.
    turns: VecDeque<K>,
    /// Keys with somebody waiting or with a slot, and no others: what is remembered is bounded by who is here.
    shares: HashMap<K, Share<K>>,
    tickets: u64,
}

struct Share<K: Key> {
    slots: usize,
    waiting: VecDeque<Waiter<K>>,
}

struct Waiter<K: Key> {
    ticket: u64,
    turn: oneshot::Sender<Slot<K>>,
}

/// The right to one of the slots, until it is dropped.
pub(crate) struct Slot<K: Key> {
    queue: Arc<FairQueue<K>>,
    key: K,
}

/// A place in the queue. Whoever goes away gives it up.
struct Place<'a, K: Key> {
    queue: &'a FairQueue<K>,
    key: K,
    ticket: u64,
}

impl<K: Key> FairQueue<K> {
    /// A queue for this many slots.
    pub(crate) fn new(slots: usize) -> Self {
        Self(Mutex::new(State {
            free: slots,
            turns: VecDeque::new(),
            shares: HashMap::new(),
            tickets: 0,
        }))
    }

    fn state(&self) -> MutexGuard<'_, State<K>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The place that the next with this key would have, from 1; 0 where a slot is free.
    pub(crate) fn next_place(&self, key: K) -> usize {
        let state = self.state();
        if state.free > 0 {
            return 0;
        }
        let own = state.waiting(key) + 1;
        let others = state.turns.iter().filter(|other| **other != key);
        // Turns go round: before one's third come no more than three of anybody else's.
        own + others
            .map(|other| state.waiting(*other).min(own))
            .sum::<usize>()
    }

    /// Waits for a slot. None only if the queue is gone, which it is not as long as somebody waits.
    pub(crate) async fn enter(self: &Arc<Self>, key: K) -> Option<Slot<K>> {
        let (turn, granted) = oneshot::channel();
        let ticket = self.state().join(key, turn);
        let _place = Place {
            queue: self,
            key,
            ticket,
        };
        self.hand_out();
        granted.await.ok()
    }

    fn hand_out(self: &Arc<Self>) {
        loop {
            let Some((key, turn)) = self.state().next() else {
                return;
            };
            let queue = Arc::clone(self);
            // Who has gone away meanwhile drops the slot, and it is handed out again.
            let _ = turn.send(Slot { queue, key });
        }
    }
}

impl<K: Key> State<K> {
    fn waiting(&self, key: K) -> usize {
        self.shares.get(&key).map_or(0, |share| share.waiting.len())
    }

    fn join(&mut self, key: K, turn: oneshot::Sender<Slot<K>>) -> u64 {
        self.tickets += 1;
        let ticket = self.tickets;
        let share = self.shares.entry(key).or_insert_with(|| Share {
            slots: 0,
            waiting: VecDeque::new(),
        });
        if share.waiting.is_empty() {
            self.turns.push_back(key);
        }
        share.waiting.push_back(Waiter { ticket, turn });
        ticket
    }

    /// Takes a free slot for whoever's turn it is.
    fn next(&mut self) -> Option<(K, oneshot::Sender<Slot<K>>)> {
        if self.free == 0 {
            return None;
        }
        let slots = |key: &K| self.shares.get(key).map_or(0, |share| share.slots);
        let fewest = (0..self.turns.len()).min_by_key(|turn| slots(&self.turns[*turn]))?;
        let key = self.turns.remove(fewest)?;
        let share = self.shares.get_mut(&key)?;
        let waiter = share.waiting.pop_front()?;
        share.slots += 1;
        self.free -= 1;
        if !share.waiting.is_empty() {
            self.turns.push_back(key);
        }
        Some((key, waiter.turn))
    }

    fn give_back(&mut self, key: K) {
        self.free += 1;
        if let Some(share) = self.shares.get_mut(&key) {
            share.slots -= 1;
        }
        self.forget_if_gone(key);
    }

    fn leave(&mut self, key: K, ticket: u64) {
        let Some(share) = self.shares.get_mut(&key) else {
            return;
        };
        let before = share.waiting.len();
        share.waiting.retain(|waiter| waiter.ticket != ticket);
        if before > 0 && share.waiting.is_empty() {
            self.turns.retain(|other| *other != key);
        }
        self.forget_if_gone(key);
    }

    fn forget_if_gone(&mut self, key: K) {
        let gone = |share: &Share<K>| share.slots == 0 && share.waiting.is_empty();
        if self.shares.get(&key).is_some_and(gone) {
            self.shares.remove(&key);
        }
    }
}

impl<K: Key> Drop for Place<'_, K> {
    fn drop(&mut self) {
        self.queue.state().leave(self.key, self.ticket);
    }
}

impl<K: Key> Drop for Slot<K> {
    fn drop(&mut self) {
        self.queue.state().give_back(self.key);
        self.queue.hand_out();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use proptest::prelude::*;

    use super::*;

    type Waiting = Pin<Box<dyn Future<Output = Option<Slot<u8>>>>>;

    fn wait(queue: &Arc<FairQueue<u8>>, key: u8) -> (u8, Waiting) {
        let queue = Arc::clone(queue);
        let mut waiting: Waiting = Box::pin(async move { queue.enter(key).await });
        // A future joins the queue when it is polled for the first time.
        assert!(poll(&mut waiting).is_none(), "a slot was free");
        (key, waiting)
    }

    fn poll(waiting: &mut Waiting) -> Option<Slot<u8>> {
        match waiting
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(slot) => slot,
            Poll::Pending => None,
        }
    }

    fn enter(queue: &Arc<FairQueue<u8>>, key: u8) -> Slot<u8> {
        let queue = Arc::clone(queue);
        let mut waiting: Waiting = Box::pin(async move { queue.enter(key).await });
        poll(&mut waiting).expect("a slot is free")
    }

    /// The keys in the order in which they get the one slot.
    fn served(slot: Slot<u8>, mut waiting: Vec<(u8, Waiting)>) -> Vec<u8> {
        let mut order = Vec::new();
        let mut holder = Some(slot);
        while !waiting.is_empty() {
            drop(holder.take());
            let turn =
                (0..waiting.len()).find_map(|i| poll(&mut waiting[i].1).map(|slot| (i, slot)));
            let (i, slot) = turn.expect("somebody's turn");
            order.push(waiting.remove(i).0);
            holder = Some(slot);
        }
        order
    }

    #[test]
    fn turns_go_round_and_within_a_key_who_came_first_is_served_first() {
        let queue = Arc::new(FairQueue::new(1));
        let slot = enter(&queue, 0);
        let waiting = [1, 1, 1, 1, 2, 2, 3].map(|key| wait(&queue, key));
        assert_eq!(served(slot, waiting.into()), [1, 2, 3, 1, 2, 1, 1]);
        assert!(queue.state().shares.is_empty() && queue.state().turns.is_empty());
    }

    #[test]
    fn a_key_that_holds_no_slot_comes_before_one_that_does_whoever_came_first() {
        let queue = Arc::new(FairQueue::new(2));
        let slots = [enter(&queue, 1), enter(&queue, 1)];
        let mut flood = wait(&queue, 1).1;
        let mut other = wait(&queue, 2).1;
        let [first, _second] = slots;
        drop(first);
        assert!(poll(&mut flood).is_none());
        assert!(poll(&mut other).is_some());
    }

    #[test]
    fn the_place_of_a_newcomer_does_not_depend_on_how_many_of_another_key_wait() {
        let queue = Arc::new(FairQueue::new(1));
        assert_eq!(queue.next_place(2), 0);
        let _slot = enter(&queue, 1);
        let _waiting: Vec<_> = (0..50).map(|_| wait(&queue, 1)).collect();
        assert_eq!(queue.next_place(1), 51);
        assert_eq!(queue.next_place(2), 2);
    }

    #[test]
    fn who_goes_away_is_in_nobodys_way_from_then_on() {
        let queue = Arc::new(FairQueue::new(1));
        let _slot = enter(&queue, 1);
        let (_stays, goes) = (wait(&queue, 1), wait(&queue, 1));
        let last = wait(&queue, 2);
        assert_eq!(queue.next_place(1), 4);
        drop(last);
        assert_eq!(queue.next_place(1), 3);
        drop(goes);
        assert_eq!(queue.next_place(1), 2);
    }

    proptest! {
        #[test]
        fn no_slot_is_lost_or_given_twice_whoever_comes_and_goes(
            slots in 1usize..4,
            steps in prop::collection::vec((0u8..4, 0u8..4, 0usize..8), 0..60),
        ) {
            let queue = Arc::new(FairQueue::new(slots));
            let (mut waiting, mut held): (Vec<Waiting>, Vec<Slot<u8>>) = Default::default();
            for (step, key, which) in steps {
                match step {
                    0 | 1 => {
                        let queue = Arc::clone(&queue);
                        let mut coming: Waiting = Box::pin(async move { queue.enter(key).await });
                        match poll(&mut coming) {
                            Some(slot) => held.push(slot),
                            None => waiting.push(coming),
                        }
                    }
                    // Goes away, perhaps with a slot that it has not seen yet.
                    2 if !waiting.is_empty() => drop(waiting.remove(which % waiting.len())),
                    3 if !held.is_empty() => drop(held.remove(which % held.len())),
                    _ => {}
                }
                if which % 2 == 0 {
                    waiting.retain_mut(|waiting| match poll(waiting) {
                        Some(slot) => { held.push(slot); false }
                        None => true,
                    });
                }
                prop_assert!(held.len() <= slots);
            }
            drop(waiting);
            drop(held);
            let state = queue.state();
            prop_assert_eq!(state.free, slots);
            prop_assert!(state.shares.is_empty() && state.turns.is_empty());
        }
    }
}
