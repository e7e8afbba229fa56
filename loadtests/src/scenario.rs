//! What virtual users do: each scenario is a way that a user goes again and again.

use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;

use crate::graphql::Operation;
use crate::target::Visitor;

/// What the users do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// Sign up a new account, log in, `me`, log in with a wrong password
    Session,
    /// Log in
    LogIn,
    /// Sign up a new account
    SignUp,
    /// Ask whether an access token is good
    Verify,
    /// Trade the refresh token for a new one
    Refresh,
    /// Guess a password from one address; being refused and told to wait is right
    BruteForce,
    /// GET the route --path, which wants a token [default: /members]
    Edge,
    /// GET the route --path, which several versions answer [default: /sample]
    Canary,
    /// Several of these by their weights, see --mix
    Mixed,
}

impl Scenario {
    /// The name on the command line and in reports.
    pub fn name(self) -> String {
        let value = self.to_possible_value().expect("none is hidden");
        value.get_name().to_owned()
    }

    /// What a user asks for, one after the other.
    pub(crate) fn steps(self) -> &'static [Operation] {
        match self {
            Self::Session => &[
                Operation::SignUp,
                Operation::LogIn,
                Operation::Me,
                Operation::WrongPassword,
            ],
            Self::LogIn => &[Operation::LogIn],
            Self::SignUp => &[Operation::SignUp],
            Self::Verify => &[Operation::VerifyToken],
            Self::Refresh => &[Operation::Refresh],
            Self::BruteForce => &[Operation::Guess],
            Self::Edge => &[Operation::Edge],
            Self::Canary => &[Operation::Canary],
            Self::Mixed => &[],
        }
    }

    /// Whether a user has an account of their own, which is made before the run.
    pub(crate) fn needs_account(self) -> bool {
        !matches!(
            self,
            Self::Session | Self::SignUp | Self::Canary | Self::Mixed
        )
    }

    /// Whether a user has to be logged in.
    pub(crate) fn needs_tokens(self) -> bool {
        matches!(self, Self::Verify | Self::Refresh | Self::Edge)
    }

    pub(crate) fn visitor(self) -> Visitor {
        match self {
            Self::Session | Self::LogIn | Self::SignUp => Visitor::New,
            Self::BruteForce => Visitor::Same,
            _ => Visitor::Known,
        }
    }

    /// The route that is asked for, unless another is named.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Edge => "/members",
            _ => "/sample",
        }
    }
}

/// Scenarios with their weights: `verify=6,log-in=2`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mix(pub(crate) Vec<(Scenario, usize)>);

/// What `mixed` does unless told otherwise: most who come have a token already.
pub const DEFAULT_MIX: &str = "verify=6,log-in=2,session=1,refresh=1";

impl Mix {
    /// The sum of all weights.
    pub(crate) fn total(&self) -> usize {
        self.0.iter().map(|(_, weight)| weight).sum()
    }
}

impl FromStr for Mix {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut parts: Vec<(Scenario, usize)> = Vec::new();
        for part in text.split(',') {
            let (name, weight) = part
                .split_once('=')
                .with_context(|| format!("{part:?} is no SCENARIO=WEIGHT"))?;
            let scenario = match Scenario::from_str(name.trim(), true) {
                Ok(Scenario::Mixed) | Err(_) => bail!("there is no scenario {name:?} to mix"),
                Ok(scenario) => scenario,
            };
            ensure!(
                parts.iter().all(|(other, _)| *other != scenario),
                "{name} is there twice"
            );
            let weight = weight
                .trim()
                .parse()
                .ok()
                .filter(|weight| (1..=1000).contains(weight));
            let weight =
                weight.with_context(|| format!("the weight of {name} is not 1 to 1000"))?;
            parts.push((scenario, weight));
        }
        Ok(Self(parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_is_scenarios_with_weights() {
        let mix: Mix = "verify=6, log-in=2".parse().unwrap();
        assert_eq!(mix.0, [(Scenario::Verify, 6), (Scenario::LogIn, 2)]);
        assert_eq!(mix.total(), 8);
        assert_eq!(DEFAULT_MIX.parse::<Mix>().unwrap().total(), 10);
        for wrong in [
            "",
            "verify",
            "verify=0",
            "verify=x",
            "mixed=1",
            "nothing=1",
            "verify=1,verify=2",
        ] {
            assert!(wrong.parse::<Mix>().is_err(), "{wrong:?}");
        }
    }
}
