//! The check finds what is wrong, and nothing else.

use std::{collections::BTreeSet, time::Duration};

use insta::assert_snapshot;
use proptest::prelude::*;

use super::{
    Action::{self, ChangePassword, LogIn, LogOut, Me, Refresh, SignUp},
    Answer, Call, History, Id, Moment,
    Refusal::{EmailTaken, InvalidCredentials, Unauthenticated},
    model::Account,
    search::{self, Reason},
};

/// The calls of one account, one after another unless [`Calls::during`] says otherwise.
#[derive(Default)]
struct Calls(History);

impl Calls {
    fn then(mut self, action: Action, answer: Answer) -> Self {
        let begin = 10 * (self.0.calls.len() + 1);
        self.0.calls.push(Call {
            account: 0,
            client: 1,
            action,
            key: None,
            invoked: moment(begin),
            completed: Some((moment(begin + 5), answer)),
        });
        self
    }

    fn done(self, action: Action) -> Self {
        self.then(action, Answer::Done(None))
    }

    fn refused(self, action: Action, refusal: super::Refusal) -> Self {
        self.then(action, Answer::Refused(refusal))
    }

    fn unknown(self, action: Action) -> Self {
        self.then(action, Answer::Unknown("the connection broke".into()))
    }

    /// Whose a session is may be told as it was so many milliseconds ago; from one call to the next they are ten.
    fn stale(mut self, milliseconds: u64) -> Self {
        self.0.stale = Duration::from_millis(milliseconds);
        self
    }

    /// The last call has the key of this one, which may be itself.
    fn with_key_of(mut self, first: Id) -> Self {
        self.last().key = Some(first);
        self
    }

    /// The last call was under way already when this one was.
    fn during(mut self, other: Id) -> Self {
        let Moment(begin, _) = self.0.calls[other].invoked;
        self.last().invoked = moment(begin + 1);
        self
    }

    fn last(&mut self) -> &mut Call {
        self.0.calls.last_mut().unwrap()
    }

    fn explain(&self) -> Result<BTreeSet<Option<Id>>, Reason> {
        search::explain(&self.0.calls.iter().enumerate().collect(), self.0.stale)
    }

    #[track_caller]
    fn are_fine(&self) {
        self.explain().unwrap();
    }

    /// Nothing explains the answer to the last call.
    #[track_caller]
    fn are_wrong(&self) {
        self.are_wrong_at(self.0.calls.len() - 1);
    }

    #[track_caller]
    fn are_wrong_at(&self, call: Id) {
        assert_eq!(self.explain(), Err(Reason::NoOrder(call)));
    }
}

fn moment(number: usize) -> Moment {
    Moment(number, Duration::from_millis(number as u64))
}

/// An account, of which call 0 made the password and a session.
fn signed_up() -> Calls {
    Calls::default().done(SignUp)
}

fn log_in(password: Id) -> Action {
    LogIn { password }
}

/// A change in the session of the sign-up.
fn change(current: Id) -> Action {
    ChangePassword {
        session: 0,
        current,
    }
}

/// A refresh in the session of the sign-up.
fn refresh(token: Id) -> Action {
    Refresh { session: 0, token }
}

const ME: Action = Me { session: 0 };
const LOG_OUT: Action = LogOut { session: 0 };

#[test]
fn a_life_without_faults_is_fine() {
    signed_up()
        .refused(SignUp, EmailTaken)
        .done(refresh(0))
        .done(ME)
        .done(change(0))
        .refused(ME, Unauthenticated)
        .refused(log_in(0), InvalidCredentials)
        .done(log_in(4))
        .done(LogOut { session: 7 })
        .refused(Me { session: 7 }, Unauthenticated)
        .are_fine();
}

#[test]
fn what_a_copy_says_may_be_as_old_as_was_promised_and_no_older() {
    let seen_late = || signed_up().done(ME).done(LOG_OUT).done(ME).done(ME);
    seen_late().are_wrong_at(3);
    seen_late().stale(14).are_wrong_at(4);
    seen_late().stale(15).are_fine();
    // What changes something is never told by a copy, nor that there is no session.
    (seen_late().stale(15)).done(refresh(0)).are_wrong();
    signed_up()
        .refused(ME, Unauthenticated)
        .stale(15)
        .are_wrong();
}

#[test]
fn a_lost_sign_up_is_found() {
    signed_up()
        .refused(log_in(0), InvalidCredentials)
        .are_wrong();
}

#[test]
fn a_second_sign_up_with_the_same_email_is_found() {
    signed_up().done(SignUp).are_wrong();
}

#[test]
fn a_lost_change_of_a_password_is_found_by_either_password() {
    let changed = || signed_up().done(change(0));
    changed().done(log_in(0)).are_wrong();
    changed().refused(log_in(1), InvalidCredentials).are_wrong();
}

#[test]
fn an_old_password_that_comes_back_is_found() {
    signed_up()
        .done(change(0))
        .done(log_in(1))
        .refused(log_in(0), InvalidCredentials)
        .done(log_in(0))
        .are_wrong();
}

#[test]
fn a_change_whose_answer_was_lost_has_happened_or_not_and_stays_so() {
    let lost = || signed_up().unknown(change(0));
    lost().done(log_in(0)).are_fine();
    lost().done(log_in(1)).are_fine();
    // It may come late.
    lost().done(log_in(0)).done(log_in(1)).are_fine();
    lost().done(log_in(1)).done(log_in(0)).are_wrong();
    lost()
        .refused(log_in(1), InvalidCredentials)
        .done(log_in(0))
        .are_fine();
    // Neither works, and the change cannot have come between: it was there before.
    lost()
        .done(log_in(1))
        .refused(log_in(1), InvalidCredentials)
        .are_wrong();
}

#[test]
fn a_change_by_a_session_that_another_change_has_ended_is_found() {
    let second = ChangePassword {
        session: 1,
        current: 2,
    };
    let both = signed_up().done(log_in(0)).unknown(change(0));
    both.unknown(second)
        .done(log_in(0))
        // Neither was carried out yet.
        .done(log_in(0))
        .done(log_in(3))
        .are_wrong();
}

#[test]
fn an_account_of_which_no_password_works_is_found() {
    signed_up()
        .unknown(change(0))
        .refused(log_in(0), InvalidCredentials)
        .refused(log_in(1), InvalidCredentials)
        .are_wrong();
}

#[test]
fn of_two_changes_at_once_one_is_carried_out() {
    let changed = || signed_up().done(change(0));
    changed()
        .refused(change(0), Unauthenticated)
        .during(1)
        .are_fine();
    changed().done(change(0)).during(1).are_wrong();
}

#[test]
fn a_refresh_token_that_is_good_twice_is_found() {
    let refreshed = || signed_up().done(refresh(0));
    refreshed().done(refresh(0)).are_wrong();
    refreshed().done(refresh(0)).during(1).are_wrong();
    refreshed().done(refresh(1)).are_fine();
}

#[test]
fn a_session_whose_old_token_came_again_has_ended() {
    let stolen = || {
        let refreshed = signed_up().done(refresh(0));
        refreshed.refused(refresh(0), Unauthenticated)
    };
    stolen().refused(ME, Unauthenticated).are_fine();
    stolen().done(ME).are_wrong();
    stolen().done(refresh(1)).are_wrong();
}

#[test]
fn a_refresh_whose_answer_was_lost_leaves_its_token_good_or_used_up() {
    let lost = || signed_up().unknown(refresh(0));
    lost().done(refresh(0)).are_fine();
    lost().refused(refresh(0), Unauthenticated).are_fine();
    // As it may come late, it ends the session of who has gone on.
    let late = lost().done(refresh(0)).refused(ME, Unauthenticated);
    late.are_fine();
}

#[test]
fn a_session_that_has_ended_stays_so() {
    signed_up().done(LOG_OUT).done(ME).are_wrong();
    signed_up().done(LOG_OUT).done(refresh(0)).are_wrong();
    signed_up().done(LOG_OUT).done(change(0)).are_wrong();
    signed_up().done(change(0)).done(ME).are_wrong();
    signed_up().done(LOG_OUT).done(ME).during(1).are_fine();
}

#[test]
fn a_session_that_nobody_ended_lives() {
    signed_up().refused(ME, Unauthenticated).are_wrong();
    signed_up().refused(refresh(0), Unauthenticated).are_wrong();
}

#[test]
fn a_change_looks_at_its_session_first_and_acts_later() {
    // The session ends in between.
    signed_up()
        .done(change(0))
        .done(LOG_OUT)
        .during(1)
        .are_fine();
}

#[test]
fn a_repeat_with_its_key_gets_the_first_answer_for_as_long_as_it_is_remembered() {
    let lost = || signed_up().unknown(change(0)).with_key_of(1);
    lost().done(change(0)).with_key_of(1).are_fine();
    let done = || signed_up().done(refresh(0)).with_key_of(1);
    done().done(refresh(0)).with_key_of(1).are_fine();
    let refused = done().refused(refresh(0), Unauthenticated);
    refused.with_key_of(1).are_wrong();
    let next = || done().done(refresh(1));
    next().done(refresh(0)).with_key_of(1).are_wrong();
    let refused = next().refused(refresh(0), Unauthenticated);
    refused.with_key_of(1).are_fine();
}

#[test]
fn a_repeat_that_gets_another_token_is_found() {
    let answer = |token: &str| Answer::Done(Some(token.to_owned()));
    let mut calls = Calls::default()
        .then(SignUp, answer("one"))
        .with_key_of(0)
        .then(SignUp, answer("one"))
        .with_key_of(0);
    calls.are_fine();
    calls = calls.then(SignUp, answer("another")).with_key_of(0);
    assert_eq!(calls.explain(), Err(Reason::OtherToken(2)));
}

#[test]
fn an_answer_that_no_call_may_get_is_found() {
    let code = super::Refusal::Unexpected("200 IDEMPOTENCY_KEY_REUSED".into());
    signed_up().refused(ME, code).are_wrong();
}

#[test]
fn what_was_not_carried_out_says_nothing() {
    let refused = |action| signed_up().then(action, Answer::NotCarriedOut("OVERLOADED".into()));
    refused(change(0)).done(log_in(0)).are_fine();
    refused(change(0)).done(log_in(1)).are_wrong();
}

#[test]
fn which_passwords_an_account_may_have_is_known() {
    let lost = || signed_up().unknown(change(0));
    assert_eq!(lost().explain(), Ok([Some(0), Some(1)].into()));
    assert_eq!(lost().done(log_in(1)).explain(), Ok([Some(1)].into()));
    let nobody = Calls::default().unknown(SignUp);
    assert_eq!(nobody.explain(), Ok([None, Some(0)].into()));
}

#[test]
fn a_violation_shows_the_history_of_its_account() {
    let calls = signed_up()
        .done(refresh(0))
        .with_key_of(1)
        .unknown(refresh(1))
        .done(ME)
        .done(change(0))
        .refused(SignUp, EmailTaken)
        .then(LOG_OUT, Answer::NotCarriedOut("OVERLOADED".into()))
        .done(log_in(0));
    let mut history = calls.0;
    history.emails.push("somebody@example.com".into());
    let violation = history.check().unwrap_err();
    assert_snapshot!(violation.to_string());
}

/// Tries every order of the calls, in the plainest way that there is.
fn some_order_explains(calls: &[Call], account: &Account, left: &BTreeSet<Id>) -> bool {
    let answered = |id: &Id| match &calls[*id].completed {
        Some((at, answer @ (Answer::Done(_) | Answer::Refused(_)))) => Some((*at, answer)),
        _ => None,
    };
    if left.iter().all(|id| answered(id).is_none()) {
        return true;
    }
    left.iter().any(|id| {
        let before = |other: &Id| answered(other).is_some_and(|(at, _)| at < calls[*id].invoked);
        if left.iter().any(before) {
            return false;
        }
        let (mut account, mut left) = (account.clone(), left.clone());
        let result = account.carry_out(calls[*id].action, calls[*id].name(*id));
        let given = answered(id).map(|(_, answer)| match answer {
            Answer::Refused(refusal) => Err(refusal.clone()),
            _ => Ok(()),
        });
        if given.is_some_and(|given| given != result) {
            return false;
        }
        left.remove(id);
        some_order_explains(calls, &account, &left)
    })
}

fn is_lost_log_in(calls: &[(usize, Call)], id: Id) -> bool {
    calls.get(id).is_some_and(|(_, call)| {
        matches!(call.action, LogIn { .. })
            && matches!(call.completed, Some((_, Answer::Unknown(_))))
    })
}

/// Some calls of an account that works, at random times, and some answers that are wrong or lost.
fn calls() -> impl Strategy<Value = Vec<Call>> {
    let drawn = (0..6_u8, 0..6_usize, 0..6_usize, 0..20_usize, 1..10_usize);
    let drawn = (drawn, 0..10_usize, 0..8_u8, 0..4_u8);
    proptest::collection::vec(drawn, 1..7).prop_map(|drawn| {
        let mut calls: Vec<(usize, Call)> = Vec::new();
        for (id, ((kind, one, other, begin, length), at, fate, key)) in drawn.iter().enumerate() {
            let begin = if id == 0 { 0 } else { *begin };
            let invoked = moment(16 * begin + id);
            // Nobody has what was asked for later, nor the session of a log-in whose answer was lost.
            let known = |id: &usize| {
                calls
                    .get(*id)
                    .is_some_and(|(_, call)| call.invoked < invoked)
            };
            let session = Some(one % id.max(1)).filter(known);
            let session = session.filter(|id| !is_lost_log_in(&calls, *id));
            let session = session.unwrap_or_default();
            let made_by = Some(other % id.max(1)).filter(known).unwrap_or_default();
            let action = match kind {
                0 => SignUp,
                1 => log_in(made_by),
                2 => ChangePassword {
                    session,
                    current: made_by,
                },
                3 => Refresh {
                    session,
                    token: made_by,
                },
                4 => LogOut { session },
                _ => Me { session },
            };
            // The first makes the account, mostly.
            let action = if id == 0 && *kind > 0 { SignUp } else { action };
            // A repeat asks for the same again.
            let repeats = (*key == 0 && id > 0).then_some(made_by);
            let repeats = repeats.filter(|id| !matches!(calls[*id].1.action, LogIn { .. }));
            let action = repeats.map_or(action, |first| calls[first].1.action);
            let key = repeats.map(|first| calls[first].1.key.unwrap_or(first));
            let answer = match fate {
                0 => Answer::Unknown("done".into()),
                1 => Answer::Unknown("not done".into()),
                2 => Answer::Refused(Unauthenticated),
                3 => Answer::Refused(InvalidCredentials),
                _ => Answer::Done(None),
            };
            let at = 16 * begin + 16 * length * at / 10;
            calls.push((
                at,
                Call {
                    account: 0,
                    client: 1,
                    action,
                    key,
                    invoked,
                    completed: Some((moment(16 * (begin + length) + id), answer)),
                },
            ));
        }
        let mut order: Vec<Id> = (0..calls.len()).collect();
        order.sort_by_key(|id| calls[*id].0);
        let mut account = Account::default();
        for id in order {
            let call = &mut calls[id].1;
            let (name, (_, answer)) = (call.name(id), call.completed.as_mut().unwrap());
            if *answer == Answer::Unknown("not done".into()) {
                continue;
            }
            let result = account.carry_out(call.action, name);
            // Those refused by the draw are wrong, for the most part.
            if let (Answer::Done(_), Err(refusal)) = (&answer, result) {
                *answer = Answer::Refused(refusal);
            }
        }
        calls.into_iter().map(|(_, call)| call).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5000))]
    #[test]
    fn the_search_finds_what_trying_every_order_finds(calls in calls()) {
        let found = search::explain(&calls.iter().enumerate().collect(), Duration::ZERO).is_ok();
        let left = (0..calls.len()).collect();
        prop_assert_eq!(found, some_order_explains(&calls, &Account::default(), &left));
    }
}
