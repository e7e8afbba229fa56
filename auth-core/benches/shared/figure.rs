//! What `./dev bench` keeps in `docs/explanation/benchmarks.toml`: a line for each figure.

/// A ratio, which other machines should come near to.
pub fn ratio(name: &str, value: f64) {
    println!("figure ratios.{name} = {value:.3}");
}

/// What only this machine can be held to.
#[allow(dead_code, reason = "not every benchmark has one")]
pub fn absolute(name: &str, value: f64) {
    println!("figure absolute.{name} = {value:.1}");
}
