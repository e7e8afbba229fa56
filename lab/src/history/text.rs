//! A violation, as people read it: the account's calls in order, and the one that nothing explains.

use std::{collections::BTreeMap, error::Error, fmt};

use super::{Action, Answer, Call, Id, model::Refusal, search::Reason};

/// A promise that was broken: what is wrong, and the history of the account that shows it.
#[derive(Debug)]
pub struct Violation(String);

impl Violation {
    pub(super) fn new(email: &str, calls: &BTreeMap<Id, &Call>, reason: Reason) -> Self {
        let (wrong, why) = match reason {
            Reason::Unreadable => (
                None,
                "it cannot be read: no log-in was acknowledged".to_owned(),
            ),
            Reason::NoOrder(id) => (
                Some(id),
                format!("nothing that may have happened before explains the answer to #{id}"),
            ),
            Reason::OtherToken(id) => (
                Some(id),
                format!("#{id} got another refresh token than the call that it repeats"),
            ),
        };
        let mut text = format!(
            "{email}: {why}\n\n   {:>6} {:>6} {:>9} {:>9}  {:<66}answer\n",
            "call", "client", "from s", "to s", ""
        );
        for (id, call) in calls {
            text += &line(*id, call, if Some(*id) == wrong { "=> " } else { "   " });
        }
        Self(text)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.trim_end())
    }
}

impl Error for Violation {}

fn line(id: Id, call: &Call, mark: &str) -> String {
    let what = match call.action {
        Action::SignUp => format!("sign up with password #{}", call.name(id)),
        Action::LogIn { password } => format!("log in with password #{password}"),
        Action::ChangePassword { session, current } => format!(
            "in session #{session} change password #{current} to #{}",
            call.name(id)
        ),
        Action::Refresh { session, token } => {
            format!("in session #{session} trade token #{token} for another")
        }
        Action::LogOut { session } => format!("end session #{session}"),
        Action::Me { session } => format!("ask whose session #{session} is"),
    };
    let what = match call.key {
        Some(first) if first == id => what + ", with a key",
        Some(first) => format!("{what}, again as #{first}"),
        None => what,
    };
    let from = call.invoked.1.as_secs_f64();
    let (to, answer) = match &call.completed {
        Some((at, answer)) => (format!("{:.3}", at.1.as_secs_f64()), said(answer)),
        None => (String::new(), "none yet".to_owned()),
    };
    let number = format!("#{id}");
    format!(
        "{mark}{number:>6} {:>6} {from:>9.3} {to:>9}  {what:<66}{answer}\n",
        call.client
    )
}

fn said(answer: &Answer) -> String {
    match answer {
        Answer::Done(_) => "done".to_owned(),
        Answer::Refused(refusal) => match refusal {
            Refusal::EmailTaken => "EMAIL_TAKEN".to_owned(),
            Refusal::InvalidCredentials => "INVALID_CREDENTIALS".to_owned(),
            Refusal::Unauthenticated => "UNAUTHENTICATED".to_owned(),
            Refusal::Unexpected(code) => format!("{code}, which was not to be expected"),
        },
        Answer::NotCarriedOut(why) => format!("not carried out: {why}"),
        Answer::Unknown(why) => format!("unknown: {why}"),
    }
}
