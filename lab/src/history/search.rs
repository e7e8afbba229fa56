//! Looks for an order of one account's calls in which the model gives each answer that was given.
//!
//! Accounts share nothing, so each is checked by itself (linearizability is local), and few clients use one: two, and the calls
//! whose outcome is unknown, which stay under way for ever. That keeps exact what is hard in general: all orders are tried, as
//! the set of all states in which the account may be (Wing and Gong, 1993; just-in-time linearization by Lowe, 2017). Because
//! no password, session or token comes twice, a call of unknown outcome soon can have no effect any more; it is left out
//! then, and states that differ by it alone become one.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    Action, Answer, Call, Id, Moment,
    model::{Account, Refusal},
};

/// Why no order explains a history.
#[derive(Debug, PartialEq, Eq)]
pub enum Reason {
    /// There is none in which this call gets its answer.
    NoOrder(Id),
    /// This repeat got another refresh token than the call that it repeats.
    OtherToken(Id),
    /// The account is there, and no log-in was acknowledged.
    Unreadable,
}

/// One way in which the calls up to now may have gone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Way {
    account: Account,
    /// The calls that were sent and not carried out.
    under_way: BTreeSet<Id>,
}

/// Finds which passwords the account of these calls may have by now, none where there may be no account. Whose a session is may
/// be told as it was `stale` ago.
///
/// # Errors
/// No order of them explains all answers.
pub fn explain(
    calls: &BTreeMap<Id, &Call>,
    stale: Duration,
) -> Result<BTreeSet<Option<Id>>, Reason> {
    tokens(calls)?;
    let mut ways = BTreeSet::from([Way {
        account: Account::default(),
        under_way: BTreeSet::new(),
    }]);
    for (id, answered) in moments(calls, stale) {
        if answered {
            ways = reachable(calls, ways)
                .into_iter()
                .filter(|way| !way.under_way.contains(&id))
                .map(|way| without_the_idle(calls, way))
                .collect();
            if ways.is_empty() {
                return Err(Reason::NoOrder(id));
            }
        } else {
            let sent = |mut way: Way| {
                way.under_way.insert(id);
                without_reads(calls, way)
            };
            ways = ways.into_iter().map(sent).collect();
        }
    }
    let ways = reachable(calls, ways);
    Ok(ways.iter().map(|way| way.account.password).collect())
}

/// The repeats of a call are answered with the same refresh token.
fn tokens(calls: &BTreeMap<Id, &Call>) -> Result<(), Reason> {
    let mut answered: BTreeMap<Id, &Option<String>> = BTreeMap::new();
    for (id, call) in calls {
        if let Some((_, Answer::Done(token))) = &call.completed
            && *answered.entry(call.name(*id)).or_insert(token) != token
        {
            return Err(Reason::OtherToken(*id));
        }
    }
    Ok(())
}

/// When calls were sent (false) and answered (true), in order, of those that say something. One that may be told what was so
/// before it was sent is as good as one that was sent then.
fn moments(calls: &BTreeMap<Id, &Call>, stale: Duration) -> Vec<(Id, bool)> {
    let all: BTreeSet<Moment> = (calls.values())
        .flat_map(|call| {
            let completed = call.completed.as_ref().map(|(completed, _)| *completed);
            [Some(call.invoked), completed]
        })
        .flatten()
        .collect();
    let before = |Moment(number, at): Moment| {
        let first = all.iter().find(|moment| moment.1 + stale >= at);
        Moment(first.map_or(number, |first| first.0), Duration::ZERO)
    };
    let mut moments = Vec::new();
    for (id, call) in calls {
        let changes = !matches!(call.action, Action::LogIn { .. } | Action::Me { .. });
        match &call.completed {
            Some((completed, answer @ (Answer::Done(_) | Answer::Refused(_)))) => {
                // That there is no session is asked of the primary.
                let is_stale =
                    matches!((call.action, answer), (Action::Me { .. }, Answer::Done(_)));
                let invoked = if is_stale && !stale.is_zero() {
                    before(call.invoked)
                } else {
                    call.invoked
                };
                moments.push((invoked, *id, false));
                moments.push((*completed, *id, true));
            }
            // Nobody has the session that such a log-in began.
            Some((_, Answer::Unknown(_))) | None if changes => {
                moments.push((call.invoked, *id, false));
            }
            _ => {}
        }
    }
    moments.sort_unstable();
    let in_order = moments.into_iter();
    in_order.map(|(_, id, answered)| (id, answered)).collect()
}

/// These ways, and all that they may lead to by the calls that are under way.
fn reachable(calls: &BTreeMap<Id, &Call>, ways: BTreeSet<Way>) -> BTreeSet<Way> {
    let mut found = ways.clone();
    let mut new: Vec<Way> = ways.into_iter().collect();
    while let Some(way) = new.pop() {
        for id in &way.under_way {
            let Some(next) = carry_out(calls[id], *id, &way) else {
                continue;
            };
            let next = without_reads(calls, next);
            if found.insert(next.clone()) {
                new.push(next);
            }
        }
    }
    found
}

/// Where this call leads, if its answer allows that.
fn carry_out(call: &Call, id: Id, way: &Way) -> Option<Way> {
    let mut next = way.clone();
    let answer = next.account.carry_out(call.action, call.name(id));
    next.under_way.remove(&id);
    let allowed = match expected(call) {
        Some(expected) => answer == expected,
        // One that changes nothing is as good as one that is carried out never.
        None => next.account != way.account,
    };
    allowed.then_some(next)
}

/// Carries out what only reads, where it gets its answer: as it changes nothing, no order has more use for it later.
fn without_reads(calls: &BTreeMap<Id, &Call>, mut way: Way) -> Way {
    for id in way.under_way.clone() {
        if matches!(calls[&id].action, Action::Me { .. })
            && let Some(next) = carry_out(calls[&id], id, &way)
        {
            way = next;
        }
    }
    way
}

/// What the model has to answer, if it is known.
fn expected(call: &Call) -> Option<Result<(), Refusal>> {
    match &call.completed {
        Some((_, Answer::Done(_))) => Some(Ok(())),
        Some((_, Answer::Refused(refusal))) => Some(Err(refusal.clone())),
        _ => None,
    }
}

/// Leaves out the calls of unknown outcome that cannot change anything any more.
fn without_the_idle(calls: &BTreeMap<Id, &Call>, mut way: Way) -> Way {
    let account = &way.account;
    let makes = |id: &Id| calls[id].name(*id);
    let to_come: BTreeSet<Id> = way.under_way.iter().map(makes).collect();
    way.under_way.retain(|id| {
        expected(calls[id]).is_some()
            || match calls[id].action {
                Action::SignUp => account.password.is_none(),
                Action::ChangePassword { session, current } => {
                    let may_be_current =
                        account.password == Some(current) || to_come.contains(&current);
                    let may_be_live =
                        account.sessions.contains_key(&session) || to_come.contains(&session);
                    may_be_current && may_be_live
                }
                Action::Refresh { session, .. } | Action::LogOut { session } => {
                    account.sessions.contains_key(&session) || to_come.contains(&session)
                }
                Action::LogIn { .. } | Action::Me { .. } => false,
            }
    });
    way
}
