//! Charts over the time of a run, as inline SVG: plotters draws, the page's style sheet colours for dark and light.

use anyhow::Result;
use plotters::prelude::*;

use crate::events::Fault;

/// The colours by their names in the style sheet: on white, and on black.
pub(crate) const COLOURS: [(&str, RGBColor, &str); 9] = [
    ("text", RGBColor(0x1F, 0x23, 0x28), "#E6EDF3"),
    ("grid", RGBColor(0xD8, 0xDE, 0xE4), "#30363D"),
    ("fault", RGBColor(0xE0, 0x9B, 0x00), "#E3B341"),
    ("failed", RGBColor(0xCF, 0x22, 0x2E), "#FF7B72"),
    ("one", RGBColor(0x09, 0x69, 0xDA), "#58A6FF"),
    ("two", RGBColor(0x8A, 0x3F, 0xFC), "#BE95FF"),
    ("three", RGBColor(0x00, 0x7D, 0x79), "#3DDBD9"),
    ("four", RGBColor(0xB2, 0x4A, 0x00), "#FF9A5C"),
    ("five", RGBColor(0x57, 0x60, 0x6A), "#9198A1"),
];
const TEXT: RGBColor = COLOURS[0].1;
const GRID: RGBColor = COLOURS[1].1;
const FAULT: RGBColor = COLOURS[2].1;
/// The colour of what failed, by its place in [`COLOURS`].
pub(crate) const FAILED: usize = 3;
/// The first of the colours without a meaning of their own.
const FIRST: usize = 4;

/// The `number`th of the colours without a meaning of their own, by its place in [`COLOURS`].
pub(crate) fn colour(number: usize) -> usize {
    FIRST + number % (COLOURS.len() - FIRST)
}

/// One line of a chart.
pub(crate) struct Line {
    pub(crate) name: String,
    /// Its place in [`COLOURS`].
    pub(crate) colour: usize,
    /// Seconds from the start, and a value; `None` where there was nothing.
    pub(crate) points: Vec<(f64, Option<f64>)>,
    /// Whether what is below it is filled.
    pub(crate) filled: bool,
}

/// Lines that have their axes in common.
pub(crate) struct Chart<'a> {
    pub(crate) lines: Vec<Line>,
    /// The length of the axis of time.
    pub(crate) seconds: f64,
    pub(crate) faults: &'a [Fault],
    /// Whether values are shown by their logarithm: each tenfold is as high as the next.
    pub(crate) is_logarithmic: bool,
}

const SIZE: (u32, u32) = (960, 220);

impl Chart<'_> {
    /// The chart as an element of a page.
    pub(crate) fn svg(&self) -> Result<String> {
        let mut svg = String::new();
        self.draw(SVGBackend::with_string(&mut svg, SIZE).into_drawing_area())
            .map_err(|error| anyhow::anyhow!("a chart cannot be drawn: {error}"))?;
        // As wide as the page; within a page no name space is said.
        let begin = svg.find("viewBox").unwrap_or_default();
        let end = svg.find(" xmlns").unwrap_or(begin);
        let rest = svg[end..].split_once('>').map_or("", |(_, rest)| rest);
        Ok(format!("<svg {}>{rest}", &svg[begin..end]))
    }

    fn height(&self, value: f64) -> f64 {
        if self.is_logarithmic {
            value.max(0.001).log10()
        } else {
            value
        }
    }

    /// The lowest and the highest value that are shown.
    fn range(&self) -> (f64, f64) {
        let values = || {
            let points = self.lines.iter().flat_map(|line| &line.points);
            points
                .filter_map(|(_, value)| *value)
                .map(|v| self.height(v))
        };
        let highest = values().fold(f64::NEG_INFINITY, f64::max);
        if !highest.is_finite() {
            return (0.0, 1.0);
        }
        if self.is_logarithmic {
            let lowest = values().fold(f64::INFINITY, f64::min);
            return (
                lowest.floor(),
                (highest + 0.02).ceil().max(lowest.floor() + 1.0),
            );
        }
        (0.0, if highest > 0.0 { highest * 1.08 } else { 1.0 })
    }

    fn draw<B: DrawingBackend>(
        &self,
        area: DrawingArea<B, plotters::coord::Shift>,
    ) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
        let (low, high) = self.range();
        let mut chart = ChartBuilder::on(&area)
            .margin_top(8)
            .margin_right(16)
            .x_label_area_size(24)
            .y_label_area_size(56)
            .build_cartesian_2d(0.0..self.seconds, low..high)?;
        for fault in self.faults {
            let begin = fault.begin.clamp(0.0, self.seconds);
            let end = fault.end.unwrap_or(self.seconds).clamp(begin, self.seconds);
            chart.draw_series([Rectangle::new(
                [(begin, low), (end, high)],
                FAULT.mix(0.16).filled(),
            )])?;
            let marks = [begin, end]
                .map(|at| PathElement::new(vec![(at, low), (at, high)], FAULT.stroke_width(1)));
            chart.draw_series(marks)?;
        }
        let labels = if self.is_logarithmic {
            (high - low) as usize + 1
        } else {
            5
        };
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(GRID)
            .label_style(("sans-serif", 15).into_font().color(&TEXT))
            .x_labels(12)
            .y_labels(labels)
            .x_label_formatter(&|seconds| format!("{} s", plain(*seconds)))
            .y_label_formatter(&|value| match self.is_logarithmic {
                true if *value >= 3.0 => format!("{} s", plain(10f64.powf(*value - 3.0))),
                true => format!("{} ms", plain(10f64.powf(*value))),
                false => plain(*value),
            })
            .draw()?;
        for line in &self.lines {
            let colour = COLOURS[line.colour].1;
            // A line for each run of values, as there is none between them.
            for run in line.points.split(|(_, value)| value.is_none()) {
                let points: Vec<_> = run
                    .iter()
                    .filter_map(|(at, value)| Some((*at, self.height((*value)?))))
                    .collect();
                if let [alone] = points[..] {
                    chart.draw_series([Circle::new(alone, 2, colour.filled())])?;
                }
                if line.filled {
                    chart.draw_series(AreaSeries::new(points.clone(), low, colour.mix(0.2)))?;
                }
                chart.draw_series(LineSeries::new(points, colour.stroke_width(2)))?;
            }
        }
        area.present()
    }
}

/// A number as one would write it.
fn plain(number: f64) -> String {
    let text = if number >= 10.0 {
        format!("{number:.0}")
    } else {
        format!("{number:.2}")
    };
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, Option<f64>)>, is_logarithmic: bool) -> String {
        let line = Line {
            name: "a".into(),
            colour: FAILED,
            points,
            filled: true,
        };
        let fault = Fault {
            name: "f".into(),
            begin: 1.0,
            end: None,
        };
        let chart = Chart {
            lines: vec![line],
            seconds: 4.0,
            faults: &[fault],
            is_logarithmic,
        };
        chart.svg().unwrap()
    }

    #[test]
    fn a_chart_is_an_element_in_colours_that_the_style_sheet_knows() {
        let points = vec![
            (0.0, Some(1.0)),
            (1.0, Some(250.0)),
            (2.0, None),
            (3.0, Some(2.0)),
        ];
        for is_logarithmic in [false, true] {
            let svg = chart(points.clone(), is_logarithmic);
            assert!(svg.starts_with("<svg viewBox=") && svg.trim_end().ends_with("</svg>"));
            assert!(!svg.contains("http"), "{svg}");
            let known: Vec<_> = COLOURS
                .iter()
                .map(|(_, RGBColor(r, g, b), _)| format!("#{r:02X}{g:02X}{b:02X}"))
                .collect();
            for found in svg
                .match_indices("=\"#")
                .map(|(at, _)| &svg[at + 2..at + 9])
            {
                assert!(known.iter().any(|one| one == found), "{found}");
            }
        }
    }

    #[test]
    fn a_line_has_a_gap_where_there_was_nothing() {
        let whole = chart(
            vec![
                (0.0, Some(1.0)),
                (1.0, Some(1.0)),
                (2.0, Some(1.0)),
                (3.0, Some(1.0)),
            ],
            false,
        );
        let gap = chart(
            vec![
                (0.0, Some(1.0)),
                (1.0, Some(1.0)),
                (1.5, None),
                (2.0, Some(1.0)),
                (3.0, Some(1.0)),
            ],
            false,
        );
        let lines = |svg: &str| svg.matches("<polygon").count();
        assert_eq!((lines(&whole), lines(&gap)), (1, 2));
    }

    #[test]
    fn nothing_is_a_chart_too() {
        assert!(chart(Vec::new(), true).contains("</svg>"));
    }
}
