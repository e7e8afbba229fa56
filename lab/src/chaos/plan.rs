//! Which faults, in which order, and which at once: `crash,hang+key-rotation@0.8` is a crash, and after it a hang together with a
//! rotation of keys that begins 0.8 s later.

use std::{
    fmt::{self, Display, Formatter},
    str::FromStr,
    time::Duration,
};

use anyhow::{Context, Error, Result, ensure};

use super::{catalogue, fault::Fault, machine::Machine};

/// A fault, and how long after those that it is done together with.
#[derive(Clone, Copy, Debug)]
pub struct Strike {
    /// Which.
    pub fault: &'static Fault,
    /// How much later, in milliseconds.
    pub after_ms: u64,
}

/// Faults that are done at once.
#[derive(Clone, Debug)]
pub struct Group(pub Vec<Strike>);

impl Group {
    /// One fault alone.
    pub fn of(fault: &'static Fault) -> Self {
        Self(vec![Strike { fault, after_ms: 0 }])
    }

    /// Its faults.
    pub fn faults(&self) -> impl Iterator<Item = &'static Fault> {
        self.0.iter().map(|strike| strike.fault)
    }
}

impl Strike {
    /// How much later it begins than the first.
    pub fn delay(&self) -> Duration {
        Duration::from_millis(self.after_ms)
    }
}

impl Display for Strike {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.fault.name)?;
        match self.after_ms {
            0 => Ok(()),
            ms => write!(f, "@{}", ms as f64 / 1000.0),
        }
    }
}

impl Display for Group {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let strikes: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&strikes.join("+"))
    }
}

/// A list of them as `--replay` takes it.
pub fn text(groups: &[Group]) -> String {
    let groups: Vec<_> = groups.iter().map(ToString::to_string).collect();
    groups.join(",")
}

impl FromStr for Strike {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, after) = text.split_once('@').unwrap_or((text, "0"));
        let fault = catalogue::find(name).with_context(|| {
            format!("there is no fault {name:?}: `./dev chaos --list` shows all")
        })?;
        let after: f64 = after
            .parse()
            .with_context(|| format!("{after:?} is no number of seconds"))?;
        ensure!(
            (0.0..=60.0).contains(&after),
            "@{after} is not from 0 to 60 seconds"
        );
        Ok(Self {
            fault,
            after_ms: (after * 1000.0).round() as u64,
        })
    }
}

impl FromStr for Group {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let strikes: Vec<Strike> = text.split('+').map(str::parse).collect::<Result<_>>()?;
        ensure!(strikes.len() <= 2, "{text}: two at once are the most");
        for (number, one) in strikes.iter().enumerate() {
            for other in &strikes[..number] {
                ensure!(
                    one.fault.goes_with(other.fault),
                    "nothing is promised of {} and {} at once",
                    other.fault.name,
                    one.fault.name
                );
            }
        }
        Ok(Self(strikes))
    }
}

/// Draws what is done next: one fault in two of three cases, else two at once of which something is promised.
pub fn draw(random: &mut fastrand::Rng, faults: &[&'static Fault]) -> Group {
    let first = faults[random.usize(..faults.len())];
    let others: Vec<_> = faults
        .iter()
        .filter(|other| first.goes_with(other))
        .collect();
    let mut group = Group::of(first);
    if random.u8(..3) == 0 && !others.is_empty() {
        group.0.push(Strike {
            fault: others[random.usize(..others.len())],
            after_ms: 100 * random.u64(..30),
        });
    }
    group
}

/// The faults that are drawn from: those of one stack, that this machine can do.
pub fn drawn_from(machine: &Machine) -> Vec<&'static Fault> {
    (catalogue::CATALOGUE.iter())
        .filter(|fault| fault.stack == super::fault::StackKind::Cluster)
        .filter(|fault| !fault.breaks.is_empty() && fault.left_out(machine).is_none())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_read_as_it_is_written() {
        let plan = "crash,hang+key-rotation@0.8,database-down";
        let groups: Vec<Group> = plan
            .split(',')
            .map(|group| group.parse().unwrap())
            .collect();
        assert_eq!(text(&groups), plan);
    }

    #[test]
    fn what_nothing_is_promised_of_is_refused() {
        for (plan, expected) in [
            ("nothing", "there is no fault \"nothing\""),
            ("crash@x", "\"x\" is no number of seconds"),
            ("crash@61", "not from 0 to 60 seconds"),
            (
                "brute-force+brute-force",
                "nothing is promised of brute-force and brute-force at once",
            ),
            ("crash+rolling-restart", "nothing is promised of"),
            ("crash+database-down", "nothing is promised of"),
            ("crash+disk-full", "nothing is promised of"),
            ("crash+hang+partition", "two at once are the most"),
        ] {
            let error = plan.parse::<Group>().unwrap_err().to_string();
            assert!(error.contains(expected), "{plan}: {error}");
        }
    }

    #[test]
    fn what_is_drawn_follows_from_the_seed_and_can_be_written() {
        let faults: Vec<_> = catalogue::CATALOGUE.iter().collect();
        let drawn = |seed| {
            let mut random = fastrand::Rng::with_seed(seed);
            let groups: Vec<_> = (0..200).map(|_| draw(&mut random, &faults)).collect();
            text(&groups)
        };
        assert_eq!(drawn(7), drawn(7));
        assert_ne!(drawn(7), drawn(8));
        assert!(drawn(7).contains('+'));
        for group in drawn(7).split(',') {
            group.parse::<Group>().unwrap();
        }
    }
}
