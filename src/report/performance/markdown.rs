//! The performance report for readers.

use std::fmt::Write as _;

use super::{DiskFloor, Performance, Phase};
use crate::report::{size_text, stop_description, summary::beam_text};

impl Performance {
    /// The report as Markdown.
    pub fn markdown(&self) -> String {
        let mut text = "# cubeclean: performance report\n".to_owned();
        section(&mut text, "1. Configuration", ["parameter", "value"], self.configuration());
        section(&mut text, "2. Result", ["outcome", "value"], self.outcome());
        section(
            &mut text,
            "3. Phases",
            [
                "phase",
                "start (UTC)",
                "end",
                "s",
                "threads",
                "CPU, mean",
                "CPU, most",
                "memory, most",
                "memory, end",
                "read",
                "written",
            ],
            self.phases.iter().map(phase),
        );
        if !self.memory_timeline.is_empty() {
            table(&mut text, ["seconds of the run", "memory, most"], self.memory());
        }
        let stages = self.stages.iter().map(|stage| {
            let share = format!("{:.1} %", 100.0 * stage.share);
            [stage.name.clone(), format!("{:.3}", stage.seconds), share]
        });
        section(&mut text, "4. Stages", ["stage", "s", "share"], stages);
        section(&mut text, "5. Bytes", ["what", "value"], self.bytes());
        section(&mut text, "6. Floors", ["floor", "value"], self.floors());
        section(
            &mut text,
            "7. Channels",
            [
                "channel",
                "GHz",
                "iterations",
                "major cycles",
                "stopped by",
                "peak, mJy/beam",
                "rms, mJy/beam",
                "beam, arcsec, deg",
                "s",
            ],
            self.channels(),
        );
        text
    }

    fn configuration(&self) -> impl Iterator<Item = [String; 2]> {
        self.configuration.iter().map(|(name, value)| [name.clone(), cell(value)])
    }

    fn outcome(&self) -> impl Iterator<Item = [String; 2]> {
        let r = &self.result;
        let codes: Vec<String> = r
            .stop_codes
            .iter()
            .map(|&(code, channels)| format!("{channels} × {code} ({})", stop_description(code)))
            .collect();
        let rows = [
            ("completed", if r.completed { "yes" } else { "no" }.to_owned()),
            ("channels", r.channels.to_string()),
            ("finished by an interrupted run", r.resumed_channels.to_string()),
            ("without data", r.channels_without_data.to_string()),
            ("clean components", r.iterations.to_string()),
            ("stop codes, channels × code", codes.join(", ")),
            ("wall time", format!("{:.2} s", r.wall_s)),
            ("CPU time", r.cpu_s.map_or_else(unknown, |s| format!("{s:.2} s"))),
            ("peak memory (RSS)", size_text(r.peak_rss_bytes)),
            ("peak memory of a device", r.peak_device_bytes.map_or_else(none, size_text)),
            ("output on disk", size_text(r.output_bytes)),
        ];
        rows.into_iter().map(|(name, value)| [name.to_owned(), value])
    }

    fn bytes(&self) -> impl Iterator<Item = [String; 2]> {
        let io = &self.io;
        let size = |bytes: Option<u64>| bytes.map_or_else(unknown, size_text);
        let ratio = |r: Option<f64>| r.map_or_else(unknown, |r| format!("{r:.4}"));
        let copy = (io.sorted_copy_bytes > 0).then(|| {
            ("copy of the visibilities in the order of channels", size_text(io.sorted_copy_bytes))
        });
        let rows = [
            ("selected data, each byte once", size_text(io.needed_bytes)),
            ("read by our reader from visibilities, flags, weights", size_text(io.reader_bytes)),
            ("read by the process (rchar)", size(io.kernel_read_bytes)),
            ("fetched from disks (read_bytes)", size(io.disk_read_bytes)),
            (
                "**read amplification**: read by the process / selected data",
                ratio(io.read_amplification),
            ),
            ("written by our writers: pixels and masks", size_text(io.writer_bytes)),
            ("written by the process (wchar)", size(io.kernel_written_bytes)),
            ("sent to disks (write_bytes)", size(io.disk_written_bytes)),
            ("output on disk", size_text(io.output_bytes)),
            ("output with its holes", size_text(io.apparent_bytes)),
            (
                "**write amplification**: written by the process / output",
                ratio(io.write_amplification),
            ),
            (
                "CPU of the thread that samples",
                self.sampling_cpu_s.map_or_else(unknown, |s| {
                    let share = 100.0 * s / self.result.wall_s.max(f64::MIN_POSITIVE);
                    format!("{:.1} ms, {share:.3} % of the wall time", 1e3 * s)
                }),
            ),
        ];
        rows.into_iter().chain(copy).map(|(name, value)| [name.to_owned(), value])
    }

    fn floors(&self) -> Vec<[String; 2]> {
        let Some(f) = &self.floors else {
            return vec![["not measured".into(), "--report measures the disk".into()]];
        };
        let rate = |bytes: f64| format!("{}/s", size_text(bytes as u64));
        let seconds = |s: Option<f64>| s.map_or_else(unknown, |s| format!("{s:.2} s"));
        let rates = |of: fn(&DiskFloor) -> f64| f.disk.map_or_else(unknown, |d| rate(of(&d)));
        [
            ("disk, sequential write with sync", rates(|d| d.write_rate)),
            ("disk, sequential read", rates(|d| d.read_rate)),
            ("what was read and written, at these rates", seconds(f.disk.map(|d| d.seconds))),
            ("processors: CPU time / threads", seconds(f.processor_s)),
            ("devices at work", f.device_s.map_or_else(none, |s| format!("{s:.2} s"))),
            (
                "**distance**: wall time / the largest",
                f.distance.map_or_else(unknown, |d| format!("{d:.2}")),
            ),
        ]
        .map(|(name, value)| [name.to_owned(), value])
        .into()
    }

    /// The time line of the memory, at some ten moments.
    fn memory(&self) -> impl Iterator<Item = [String; 2]> {
        const ROWS: usize = 10;
        let step = self.memory_timeline.len().div_ceil(ROWS).max(1);
        // Of each stretch of time the most, so that no peak is lost.
        self.memory_timeline.chunks(step).map(|stretch| {
            let from = stretch.first().map_or(0.0, |(s, _)| *s);
            let to = stretch.last().map_or(0.0, |(s, _)| *s);
            let most = stretch.iter().map(|(_, bytes)| *bytes).max().unwrap_or(0);
            [format!("{from:.2} to {to:.2}"), size_text(most)]
        })
    }

    fn channels(&self) -> impl Iterator<Item = [String; 9]> {
        self.channels.iter().map(|c| {
            let s = &c.summary;
            let beam = s.restoring_beam.or(s.beam).map_or_else(none, beam_text);
            let stop = match s.sumwt > 0.0 {
                true => stop_description(s.stopcode).to_owned(),
                false => "no data".to_owned(),
            };
            [
                s.channel.to_string(),
                format!("{:.6}", s.freq_hz / 1e9),
                c.iterations.to_string(),
                s.nmajordone.to_string(),
                stop,
                format!("{:.3}", 1e3 * s.peak),
                format!("{:.4}", 1e3 * s.rms),
                beam,
                c.seconds.map_or_else(none, |s| format!("{s:.3}")),
            ]
        })
    }
}

fn phase(p: &Phase) -> [String; 11] {
    let size = |bytes: Option<u64>| bytes.map_or_else(unknown, size_text);
    let percent = |cpu: Option<f64>| cpu.map_or_else(unknown, |c| format!("{:.0} %", 100.0 * c));
    [
        p.name.clone(),
        clock(p.start_unix_s),
        clock(p.start_unix_s + p.duration_s),
        format!("{:.3}", p.duration_s),
        p.threads.map_or_else(unknown, |n| n.to_string()),
        percent(p.mean_cpu),
        percent(p.max_cpu),
        size(p.max_rss_bytes),
        size(p.end_rss_bytes),
        size(p.read_bytes),
        size(p.written_bytes),
    ]
}

/// A section that begins with a table.
fn section<const N: usize>(
    text: &mut String,
    title: &str,
    head: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) {
    let _ = writeln!(text, "\n## {title}");
    table(text, head, rows);
}

fn table<const N: usize>(
    text: &mut String,
    head: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) {
    let _ = writeln!(text, "\n| {} |\n|{}", head.join(" | "), "---|".repeat(N));
    for row in rows {
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
}

/// Text that does not end a cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn unknown() -> String {
    "unknown".into()
}

fn none() -> String {
    "-".into()
}

/// The time of day, UTC.
fn clock(unix_s: f64) -> String {
    let millis = (unix_s.max(0.0) * 1e3).round() as u64 % 86_400_000;
    let (seconds, millis) = (millis / 1000, millis % 1000);
    format!("{:02}:{:02}:{:02}.{millis:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
