//! Shrinks a list that fails to one that is as short as can be found and still fails.

use std::time::Instant;

/// The shortest end of `list` that fails (by doubling its length), without all that it fails without (one by one). `fails` is asked
/// until `deadline`; then what was found by then is answered. `None` where not even the whole list fails again.
pub async fn shrink<T: Clone>(
    list: &[T],
    deadline: Instant,
    mut fails: impl AsyncFnMut(&[T]) -> bool,
) -> Option<Vec<T>> {
    let mut length = 0;
    let mut found = loop {
        // The last one is what it failed at; before it is tried, whether it fails by itself.
        let end = &list[list.len() - length.min(list.len())..];
        if fails(end).await {
            break end.to_vec();
        }
        if length >= list.len() || Instant::now() >= deadline {
            return None;
        }
        length = (length * 2).max(1);
    };
    let mut number = 0;
    while number < found.len() && found.len() > 1 && Instant::now() < deadline {
        let mut shorter = found.clone();
        shorter.remove(number);
        if fails(&shorter).await {
            found = shorter;
        } else {
            number += 1;
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn contains_in_order(list: &[u32], wanted: &[u32]) -> bool {
        let mut list = list.iter();
        wanted.iter().all(|one| list.any(|other| other == one))
    }

    async fn shrunk(list: &[u32], needed: &[u32]) -> Option<Vec<u32>> {
        let deadline = Instant::now() + Duration::from_secs(60);
        // A made-up runner: it fails when all that is needed was done, in this order.
        shrink(list, deadline, async |list| contains_in_order(list, needed)).await
    }

    #[tokio::test]
    async fn exactly_what_is_needed_is_left_whatever_surrounds_it() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..300 {
            let needed: Vec<u32> = (0..random.u32(1..4)).collect();
            let mut list = Vec::new();
            for one in &needed {
                list.extend((0..random.u32(..12)).map(|_| random.u32(10..20)));
                list.push(*one);
            }
            assert_eq!(shrunk(&list, &needed).await, Some(needed), "{list:?}");
        }
    }

    #[tokio::test]
    async fn what_fails_without_anything_is_shrunk_to_nothing() {
        assert_eq!(shrunk(&[10, 11], &[]).await, Some(vec![]));
    }

    #[tokio::test]
    async fn what_does_not_fail_again_is_not_made_up() {
        assert_eq!(shrunk(&[10, 11, 12], &[1]).await, None);
    }

    #[tokio::test]
    async fn when_time_is_over_what_was_found_by_then_is_kept() {
        let list = [1, 10, 11, 2];
        let found = shrink(&list, Instant::now(), async |list| {
            contains_in_order(list, &[2])
        })
        .await;
        assert_eq!(found, None);
        let deadline = Instant::now() + Duration::from_millis(50);
        let found = shrink(&list, deadline, async |list| {
            tokio::time::sleep(Duration::from_millis(30)).await;
            contains_in_order(list, &[1])
        })
        .await;
        assert_eq!(found, None);
    }
}
