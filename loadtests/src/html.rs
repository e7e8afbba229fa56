//! The report of a run as one page: no script, no font, no picture, nothing to fetch.

use std::fmt::{self, Display, Write};

use crate::chart::{COLOURS, Chart, FAILED, Line, colour};
use crate::events::Fault;
use crate::report::{Report, Stats};
use crate::samples::{Figures, Sample, Samples};
use crate::table::verdict;

/// How wide the steps of the axis of time may be, in seconds: the first with which there are few enough.
const STEPS: [f64; 11] = [
    0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0,
];
const MOST_STEPS: f64 = 120.0;

const STYLE: &str = "
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 1000px; padding: 24px; background: var(--page); color: var(--text); }
h1 { font-size: 24px; margin: 0 0 4px; } h2 { font-size: 17px; margin: 28px 0 4px; }
.verdict { border-left: 6px solid var(--three); padding: 4px 12px; margin: 12px 0; } .verdict.failed { border-color: var(--failed); }
.meta { color: var(--five); } .meta span { margin-right: 18px; white-space: nowrap; }
table { border-collapse: collapse; } th, td { text-align: right; padding: 3px 12px; border-bottom: 1px solid var(--grid); font-variant-numeric: tabular-nums; }
th:first-child, td:first-child { text-align: left; padding-left: 0; } th { font-weight: 600; color: var(--five); }
td.bad { color: var(--failed); font-weight: 600; }
figure { margin: 0; overflow-x: auto; } svg { display: block; width: 100%; min-width: 640px; height: auto; }
figcaption { font-size: 13px; } figcaption span { margin-right: 16px; white-space: nowrap; }
i { display: inline-block; width: 12px; height: 12px; border-radius: 3px; margin-right: 5px; vertical-align: -1px; }
";

/// The page.
pub(crate) fn html(report: &Report, samples: &Samples) -> String {
    let mut page = String::new();
    write(&mut page, report, samples).expect("a String takes any text");
    page
}

fn write(page: &mut String, report: &Report, samples: &Samples) -> fmt::Result {
    let title = format!("authload: {} on {}", report.scenario, report.url);
    // The policy is the page's promise to fetch nothing, which a browser keeps.
    write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{}</title>\n<style>",
        escaped(&title)
    )?;
    style(page)?;
    writeln!(page, "</style>\n</head>\n<body>")?;
    heading(page, report)?;
    charts(page, report, samples)?;
    tables(page, report)?;
    writeln!(page, "</body>\n</html>")
}

/// Colours as variables, and those that plotters wrote into charts by way of them.
fn style(page: &mut String) -> fmt::Result {
    let (mut light, mut dark, mut charts) = (String::new(), String::new(), String::new());
    for (name, plotters::style::RGBColor(r, g, b), on_black) in COLOURS {
        let written = format!("#{r:02X}{g:02X}{b:02X}");
        write!(light, " --{name}: {written};")?;
        write!(dark, " --{name}: {on_black};")?;
        writeln!(
            charts,
            "svg [fill=\"{written}\"] {{ fill: var(--{name}); }} svg [stroke=\"{written}\"] {{ stroke: var(--{name}); }}"
        )?;
    }
    write!(
        page,
        "\n:root {{ color-scheme: light dark; --page: #FFFFFF;{light} }}\n\
         @media (prefers-color-scheme: dark) {{ :root {{ --page: #0D1117;{dark} }} }}{STYLE}{charts}"
    )
}

fn heading(page: &mut String, report: &Report) -> fmt::Result {
    writeln!(
        page,
        "<h1>{}: {}</h1>",
        escaped(&report.scenario),
        escaped(&report.url)
    )?;
    let model = match &report.arrivals {
        None => "closed model".to_owned(),
        Some(arrivals) => format!(
            "open model, {} arrivals/s{}",
            arrivals.per_second,
            if arrivals.poisson { " by chance" } else { "" }
        ),
    };
    let mut meta = vec![
        format!("{:.1} s", report.elapsed_seconds),
        format!("{} users", report.users),
        model,
        format!("seed {}", report.seed),
        format!("{:.1} requests/s", report.requests_per_second),
        format!("authload {}", report.authload),
    ];
    let versions = report.monitoring.iter().flat_map(|seen| &seen.versions);
    meta.extend(versions.map(|(what, which)| format!("{what} {}", which.join(", "))));
    meta.push(format!("began at {} (Unix time)", report.started_at));
    let meta: Vec<_> = meta
        .iter()
        .map(|one| format!("<span>{}</span>", escaped(one)))
        .collect();
    writeln!(page, "<div class=\"meta\">{}</div>", meta.join(" "))?;
    let class = if report.passed { "" } else { " failed" };
    writeln!(
        page,
        "<div class=\"verdict{class}\"><strong>{}</strong></div>",
        escaped(verdict(report))
    )
}

/// Samples by steps of the axis of time.
struct Steps {
    width: f64,
    /// By when the answer was there.
    ended: Vec<Figures>,
    /// By when the request was sent, or due.
    began: Vec<Figures>,
}

impl Steps {
    fn of(samples: &[Sample], seconds: f64) -> Self {
        let fits = |width: &&f64| seconds / **width <= MOST_STEPS;
        let width = *STEPS.iter().find(fits).unwrap_or(&STEPS[STEPS.len() - 1]);
        let count = (seconds / width).ceil().max(1.0) as usize;
        let mut steps = Self {
            width,
            ended: vec![Figures::default(); count],
            began: vec![Figures::default(); count],
        };
        for sample in samples {
            let step = |at: f64| ((at.max(0.0) / width) as usize).min(count - 1);
            steps.ended[step(sample.ended())].add(*sample);
            steps.began[step(sample.began())].add(*sample);
        }
        steps
    }

    /// The middles of the steps with what `value` makes of each.
    fn points(
        &mut self,
        by_begin: bool,
        mut value: impl FnMut(&mut Figures) -> Option<f64>,
    ) -> Vec<(f64, Option<f64>)> {
        let width = self.width;
        let steps = if by_begin {
            &mut self.began
        } else {
            &mut self.ended
        };
        let points = steps.iter_mut().enumerate();
        points
            .map(|(number, step)| ((number as f64 + 0.5) * width, value(step)))
            .collect()
    }
}

fn charts(page: &mut String, report: &Report, samples: &Samples) -> fmt::Result {
    let seconds = report.elapsed_seconds.max(0.25);
    let mut steps = Steps::of(&samples.all, seconds);
    let width = steps.width;
    let mut draw = |title: &str, lines: Vec<Line>, is_logarithmic: bool| {
        let chart = Chart {
            lines,
            seconds,
            faults: &report.faults,
            is_logarithmic,
        };
        figure(page, title, &chart)
    };

    let mut lines = vec![Line {
        name: "right answers".into(),
        colour: colour(0),
        points: steps.points(false, |step| {
            Some((step.requests - step.failed) as f64 / width)
        }),
        filled: true,
    }];
    if report.failed > 0 {
        lines.push(Line {
            name: "failed".into(),
            colour: FAILED,
            points: steps.points(false, |step| Some(step.failed as f64 / width)),
            filled: true,
        });
    }
    draw("Requests per second", lines, false)?;

    let percentiles = [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("max", 100.0)];
    let lines = percentiles
        .iter()
        .enumerate()
        .map(|(number, (name, percent))| Line {
            name: (*name).into(),
            colour: colour(number),
            points: steps.points(true, |step| step.percentile_ms(*percent)),
            filled: false,
        });
    let title = match report.arrivals {
        Some(_) => "Latency from when a request was due, by when it was due",
        None => "Latency, by when a request was sent",
    };
    let lines = lines.collect();
    draw(title, lines, true)?;

    for panel in report.monitoring.iter().flat_map(|seen| &seen.panels) {
        let lines = panel
            .lines
            .iter()
            .enumerate()
            .map(|(number, (name, points))| Line {
                name: name.clone(),
                colour: if name == "5xx" {
                    FAILED
                } else {
                    colour(number)
                },
                points: points
                    .iter()
                    .map(|(at, value)| (*at, Some(*value)))
                    .collect(),
                filled: false,
            });
        draw(&panel.title, lines.collect(), false)?;
    }
    Ok(())
}

fn figure(page: &mut String, title: &str, chart: &Chart<'_>) -> fmt::Result {
    let svg = chart.svg().unwrap_or_else(escaped);
    writeln!(
        page,
        "<h2>{}</h2>\n<figure>{svg}<figcaption>",
        escaped(title)
    )?;
    for line in &chart.lines {
        let (colour, ..) = COLOURS[line.colour];
        write!(
            page,
            "<span><i style=\"background: var(--{colour})\"></i>{}</span>",
            escaped(&line.name)
        )?;
    }
    for fault in chart.faults {
        write!(
            page,
            "<span><i style=\"background: var(--fault)\"></i>{}</span>",
            escaped(lasted(fault))
        )?;
    }
    writeln!(page, "</figcaption></figure>")
}

fn lasted(fault: &Fault) -> String {
    let end = fault
        .end
        .map_or("the end".into(), |end| format!("{end:.1} s"));
    format!("{}, {:.1} s to {end}", fault.name, fault.begin)
}

fn tables(page: &mut String, report: &Report) -> fmt::Result {
    if !report.thresholds.is_empty() {
        writeln!(
            page,
            "<h2>Thresholds</h2>\n<table><tr><th>rule</th><th>it was</th><th></th></tr>"
        )?;
        for verdict in &report.thresholds {
            let (class, word) = if verdict.passed {
                ("", "held")
            } else {
                ("bad", "missed")
            };
            writeln!(
                page,
                "<tr><td>{}</td><td>{}</td><td class=\"{class}\">{word}</td></tr>",
                escaped(&verdict.rule),
                escaped(&verdict.observed)
            )?;
        }
        writeln!(page, "</table>")?;
    }
    let rows = report
        .operations
        .iter()
        .map(|one| (one.name.as_str(), &one.stats));
    stats(page, "Operations", rows)?;
    let rows = report
        .phases
        .iter()
        .map(|one| (one.phase.name(), &one.stats));
    stats(page, "Phases", rows)?;
    let rows = report
        .nodes
        .iter()
        .map(|(name, stats)| (name.as_str(), stats));
    stats(page, "Answered by", rows)?;
    if !report.failures.is_empty() {
        writeln!(
            page,
            "<h2>Failures</h2>\n<table><tr><th>operation</th><th>reason</th><th>node</th><th>times</th><th>from</th><th>to</th><th>a trace</th></tr>"
        )?;
    }
    for group in &report.failures {
        writeln!(
            page,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{:.1} s</td><td>{:.1} s</td><td>{}</td></tr>",
            escaped(&group.operation),
            escaped(&group.reason),
            escaped(group.node.as_deref().unwrap_or("")),
            group.count,
            group.first_second,
            group.last_second,
            escaped(group.trace_id.as_deref().unwrap_or(""))
        )?;
    }
    if !report.failures.is_empty() {
        writeln!(page, "</table>")?;
    }
    for error in report.monitoring.iter().flat_map(|seen| &seen.errors) {
        writeln!(page, "<p>Prometheus did not tell: {}</p>", escaped(error))?;
    }
    Ok(())
}

fn stats<'a>(
    page: &mut String,
    title: &str,
    rows: impl Iterator<Item = (&'a str, &'a Stats)>,
) -> fmt::Result {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return Ok(());
    }
    writeln!(
        page,
        "<h2>{title}</h2>\n<table><tr><th></th><th>requests</th><th>failed</th><th>p50 ms</th><th>p90 ms</th><th>p99 ms</th><th>max ms</th></tr>"
    )?;
    for (name, stats) in rows {
        let class = if stats.failed > 0 { "bad" } else { "" };
        write!(
            page,
            "<tr><td>{}</td><td>{}</td><td class=\"{class}\">{}</td>",
            escaped(name),
            stats.requests,
            stats.failed
        )?;
        for time in [stats.p50_ms, stats.p90_ms, stats.p99_ms, stats.max_ms] {
            let time = time.map_or("–".into(), |ms| format!("{ms:.1}"));
            write!(page, "<td>{time}</td>")?;
        }
        writeln!(page, "</tr>")?;
    }
    writeln!(page, "</table>")
}

/// Text that others chose, as text of a page and nothing else.
fn escaped(text: impl Display) -> String {
    let mut safe = String::new();
    for c in text.to_string().chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::graphql::Operation;
    use crate::samples::tests::{cut_off, succeeded};
    use crate::summary::{self, Load};

    #[test]
    fn what_others_chose_is_text_and_nothing_is_fetched() {
        let mut samples = Samples::default();
        let mut outcome = succeeded(Operation::Me, 3);
        outcome.node = Some("<script src=//x>".into());
        samples.add(Duration::from_secs(1), outcome);
        samples.add(Duration::from_secs(2), cut_off());
        let load = Load {
            faults: vec![Fault {
                name: "<img onerror=x>".into(),
                begin: 0.5,
                end: None,
            }],
            ..Load::default()
        };
        let report = summary::report(&samples, &summary::tests::metrics(&samples), load);
        let page = html(&report, &samples);
        assert!(!page.contains("<script") && !page.contains("<img"));
        assert!(page.contains("&lt;script src=//x&gt;") && page.contains("&lt;img onerror=x&gt;"));
        assert!(!page.contains("http://") && !page.contains("https://"));
        assert!(page.contains("FAILED: 1 of 2 requests failed"));
    }

    #[test]
    fn the_axis_of_time_has_few_steps_however_long_the_run() {
        for seconds in [0.25, 10.0, 119.0, 3600.0, 86_400.0] {
            let steps = Steps::of(&[], seconds);
            assert!(steps.ended.len() <= 120, "{seconds}");
        }
    }
}
