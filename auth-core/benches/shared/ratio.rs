//! Two sides measured in turn, in the same run: what else the machine does falls on both, so their ratio says more than
//! either figure.

use std::time::Duration;

use criterion::measurement::{Measurement, ValueFormatter};
use criterion::{Criterion, SamplingMode, Throughput};

/// How much of the other side's speed ours reaches; 1 is as fast. Criterion takes what it measures for a cost, of which
/// less is better, so inside it is the inverse.
pub struct Ratio;

impl Measurement for Ratio {
    type Intermediate = ();
    type Value = f64;

    fn start(&self) {}

    fn end(&self, (): ()) -> f64 {
        self.zero()
    }

    fn add(&self, one: &f64, other: &f64) -> f64 {
        one + other
    }

    fn zero(&self) -> f64 {
        0.0
    }

    fn to_f64(&self, value: &f64) -> f64 {
        *value
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        &Self
    }
}

impl ValueFormatter for Ratio {
    fn scale_values(&self, _: f64, values: &mut [f64]) -> &'static str {
        for value in values {
            *value = value.recip();
        }
        "of it"
    }

    fn scale_throughputs(&self, typical: f64, _: &Throughput, values: &mut [f64]) -> &'static str {
        self.scale_values(typical, values)
    }

    fn scale_for_machines(&self, _: &mut [f64]) -> &'static str {
        "times the cost"
    }
}

/// A criterion that measures ratios, for rounds that take about a second.
pub fn criterion() -> Criterion<Ratio> {
    Criterion::default()
        .with_measurement(Ratio)
        .sample_size(10)
        .warm_up_time(Duration::from_millis(1))
        .configure_from_args()
}

/// Runs a round of `ours` and one of `theirs` for each sample. Both answer how long the same work took.
pub fn compare(
    criterion: &mut Criterion<Ratio>,
    name: &str,
    goal: Option<f64>,
    mut ours: impl FnMut() -> Duration,
    mut theirs: impl FnMut() -> Duration,
) {
    let mut rounds = Vec::new();
    let mut group = criterion.benchmark_group(name);
    group.sampling_mode(SamplingMode::Flat);
    group.bench_function("ratio", |bencher| {
        bencher.iter_custom(|iterations| {
            (0..iterations)
                .map(|_| {
                    let (ours, theirs) = (ours(), theirs());
                    rounds.push((ours, theirs));
                    ours.as_secs_f64() / theirs.as_secs_f64()
                })
                .sum()
        });
    });
    group.finish();
    let mut ratios: Vec<_> = rounds
        .iter()
        .map(|(ours, theirs): &(Duration, Duration)| theirs.as_secs_f64() / ours.as_secs_f64())
        .collect();
    ratios.sort_by(f64::total_cmp);
    if let [least, .., most] = ratios[..] {
        let goal = goal.map_or(String::new(), |goal| format!(" (goal: {goal})"));
        let median = ratios[ratios.len() / 2];
        println!(
            "{name}: {median:.3} of it{goal}, {least:.3} to {most:.3} in {} rounds; best times {:?} and {:?}",
            ratios.len(),
            rounds
                .iter()
                .map(|(ours, _)| ours)
                .min()
                .unwrap_or(&Duration::ZERO),
            rounds
                .iter()
                .map(|(_, theirs)| theirs)
                .min()
                .unwrap_or(&Duration::ZERO),
        );
        crate::figure::ratio(name, median);
    }
}
