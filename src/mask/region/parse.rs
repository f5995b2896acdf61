//! Reading CRTF: `[+|-] [ann] shape[[x, y], ...] [,] keyword=value, ...`, one region a line.

use super::shape::{Length, Point, Shape};
use crate::{
    geometry::{Direction, DirectionFrame},
    spectral::{ChannelGrid, FreqFrame, VelocityType},
    units::{Dimension, Quantity, angle},
};

/// A region: a shape, its channels, and whether its pixels go in or out.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Region {
    pub shape: Shape,
    pub exclude: bool,
    pub range: Range,
}

/// Channels that a region applies to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Range {
    All,
    /// First and last channel.
    Channels(f64, f64),
    /// Hz, or m/s with a convention; in a frame if one was named.
    Spectral {
        bounds: (f64, f64),
        velocity: Option<VelocityType>,
        frame: Option<FreqFrame>,
        restfreq_hz: Option<f64>,
    },
}

impl Range {
    /// Whether it holds a channel's centre.
    ///
    /// # Errors
    /// A frame other than the cube's.
    pub fn holds(&self, channel: usize, channels: &ChannelGrid) -> Result<bool, String> {
        let within = |v: f64, (a, b): (f64, f64)| v >= a.min(b) && v <= a.max(b);
        match self {
            Self::All => Ok(true),
            Self::Channels(first, last) => Ok(within(channel as f64, (*first, *last))),
            Self::Spectral { frame: Some(frame), .. } if *frame != channels.frame => {
                Err(format!("a range is in frame {frame:?}, the cube in {:?}", channels.frame))
            }
            Self::Spectral { bounds, velocity, restfreq_hz, .. } => {
                let freq = channels.freq_hz(channel);
                let rest = restfreq_hz.unwrap_or(channels.restfreq_hz);
                Ok(within(velocity.map_or(freq, |v| v.velocity(freq, rest)), *bounds))
            }
        }
    }
}

/// Keywords that say how a region is drawn, or that do not bear on a mask of one Stokes parameter.
const DRAWING: [&str; 18] = [
    "color",
    "linewidth",
    "linestyle",
    "symsize",
    "symthick",
    "font",
    "fontsize",
    "fontstyle",
    "usetex",
    "label",
    "labelpos",
    "labelcolor",
    "labeloff",
    "corr",
    "fill",
    "veltype",
    "restfreq",
    "frame",
];

/// Shapes that only annotate a picture.
const ANNOTATIONS: [&str; 4] = ["symbol", "line", "vector", "text"];

/// Keywords of a region, after the `global` lines above it.
type Keywords = Vec<(String, String)>;

/// Regions of all lines; `error` makes an error of a line's number, its text, and what is wrong with it.
pub(super) fn lines<E>(
    text: &str,
    error: impl Fn(usize, &str, &str) -> E,
) -> Result<Vec<Region>, E> {
    let mut global = Keywords::new();
    let mut regions = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let at_line = |problem: String| error(number + 1, line, &problem);
        match line.strip_prefix("global ") {
            Some(rest) => {
                for (key, value) in keywords(rest).map_err(at_line)? {
                    set(&mut global, key, value);
                }
            }
            None => regions.extend(region(line, &global).map_err(at_line)?),
        }
    }
    Ok(regions)
}

fn set(keywords: &mut Keywords, key: String, value: String) {
    keywords.retain(|(k, _)| *k != key);
    keywords.push((key, value));
}

/// The region of a line; `None` for an annotation.
fn region(line: &str, global: &Keywords) -> Result<Option<Region>, String> {
    let (exclude, line) = match line.split_at_checked(1) {
        Some(("-", rest)) => (true, rest.trim_start()),
        Some(("+", rest)) => (false, rest.trim_start()),
        _ => (false, line),
    };
    if line.starts_with("ann ") {
        return Ok(None);
    }
    let open = line.find('[').ok_or("has no [")?;
    let name = line[..open].trim().to_ascii_lowercase();
    if ANNOTATIONS.contains(&name.as_str()) {
        return Ok(None);
    }
    let (arguments, rest) = bracketed(&line[open..])?;
    let mut all = global.clone();
    for (key, value) in keywords(rest.trim_start().trim_start_matches(','))? {
        set(&mut all, key, value);
    }
    let get = |key: &str| all.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str());
    let frame = match get("coord").map(str::to_ascii_uppercase).as_deref() {
        None | Some("J2000") => DirectionFrame::J2000,
        Some("ICRS") => DirectionFrame::Icrs,
        Some(other) => {
            return Err(format!("coord={other} is not supported; convert it to J2000 or ICRS"));
        }
    };
    let known = |key: &str| key == "coord" || key == "range" || DRAWING.contains(&key);
    if let Some((key, _)) = all.iter().find(|(k, _)| !known(k)) {
        return Err(format!("unknown keyword {key}"));
    }
    Ok(Some(Region { shape: shape(&name, arguments, frame)?, exclude, range: range(&get)? }))
}

/// The text between a leading `[` and its `]`, and what follows.
fn bracketed(text: &str) -> Result<(&str, &str), String> {
    let mut depth = 0;
    for (i, c) in text.char_indices() {
        match c {
            '[' => depth += 1,
            ']' if depth == 1 => return Ok((&text[1..i], &text[i + 1..])),
            ']' => depth -= 1,
            _ => {}
        }
    }
    Err("a [ has no ]".into())
}

/// Splits at commas outside brackets and quotes.
fn fields(text: &str) -> Vec<&str> {
    let (mut depth, mut quote, mut start) = (0i32, None, 0);
    let mut fields = Vec::new();
    for (i, c) in text.char_indices() {
        match c {
            _ if quote == Some(c) => quote = None,
            _ if quote.is_some() => {}
            '"' | '\'' => quote = Some(c),
            '[' => depth += 1,
            ']' => depth -= 1,
            ',' if depth == 0 => {
                fields.push(text[start..i].trim());
                start = i + 1;
            }
            _ => {}
        }
    }
    fields.push(text[start..].trim());
    fields
}

/// `key=value, key=value`; lists are in brackets.
fn keywords(text: &str) -> Result<Keywords, String> {
    fields(text)
        .into_iter()
        .filter(|field| !field.is_empty())
        .map(|field| {
            let (key, value) =
                field.split_once('=').ok_or_else(|| format!("{field:?} is no keyword=value"))?;
            Ok((key.trim().to_ascii_lowercase(), value.trim().trim_matches(['"', '\'']).to_owned()))
        })
        .collect()
}

/// The shape of a name and its arguments.
fn shape(name: &str, arguments: &str, frame: DirectionFrame) -> Result<Shape, String> {
    let arguments = fields(arguments);
    let point = |text: &str| point(text, frame);
    let wrong = |form: &str| format!("{name} wants {name}{form}");
    Ok(match name {
        "box" => match arguments[..] {
            [a, b] => Shape::Box(point(a)?, point(b)?),
            _ => return Err(wrong("[[x1,y1],[x2,y2]]")),
        },
        "centerbox" | "rotbox" | "ellipse" => {
            let (center, sizes, turn) = match arguments[..] {
                [center, sizes] if name == "centerbox" => (center, sizes, 0.0),
                [center, sizes, turn] if name != "centerbox" => (center, sizes, bare_angle(turn)?),
                _ if name == "centerbox" => return Err(wrong("[[x,y],[width,height]]")),
                _ => return Err(wrong("[[x,y],[a,b],angle]")),
            };
            let (center, (a, b)) = (point(center)?, lengths(sizes)?);
            match name {
                "centerbox" => Shape::CenterBox(center, a, b),
                "rotbox" => Shape::RotBox(center, a, b, turn),
                _ => Shape::Ellipse(center, a, b, turn),
            }
        }
        "circle" => match arguments[..] {
            [center, radius] => Shape::Circle(point(center)?, length(radius)?),
            _ => return Err(wrong("[[x,y],radius]")),
        },
        "annulus" => match arguments[..] {
            [center, radii] => {
                let (inner, outer) = lengths(radii)?;
                Shape::Annulus(point(center)?, inner, outer)
            }
            _ => return Err(wrong("[[x,y],[inner,outer]]")),
        },
        "poly" if arguments.len() >= 3 => {
            Shape::Poly(arguments.into_iter().map(point).collect::<Result<_, _>>()?)
        }
        "poly" => return Err(wrong("[[x1,y1],[x2,y2],[x3,y3],...]")),
        _ => return Err(format!("unknown shape {name:?}")),
    })
}

/// The two entries of `[a, b]`.
fn pair(text: &str) -> Result<(&str, &str), String> {
    let inner = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    match inner.map(fields).as_deref() {
        Some(&[a, b]) => Ok((a, b)),
        _ => Err(format!("{text:?} should be [a, b]")),
    }
}

/// A number of pixels, if the text is one.
fn pixels(text: &str) -> Option<f64> {
    text.strip_suffix("pix")?.trim().parse().ok().filter(|n: &f64| n.is_finite())
}

fn bare_angle(text: &str) -> Result<f64, String> {
    angle("mask", text).map_err(|_| format!("{text:?} is no angle"))
}

fn point(text: &str, frame: DirectionFrame) -> Result<Point, String> {
    let (first, second) = pair(text)?;
    match (pixels(first), pixels(second)) {
        (Some(x), Some(y)) => Ok(Point::Pixel(x, y)),
        (None, None) => {
            let (ra, dec) = (bare_angle(first)?, bare_angle(second)?);
            if dec.abs() > std::f64::consts::FRAC_PI_2 {
                return Err(format!("declination {second} is beyond a pole"));
            }
            Ok(Point::Sky(Direction::new(ra, dec, frame)))
        }
        _ => Err(format!("{text:?} mixes pixels and angles")),
    }
}

fn length(text: &str) -> Result<Length, String> {
    let length = match pixels(text) {
        Some(n) => Length::Pixel(n),
        None => Length::Angle(bare_angle(text)?),
    };
    match length {
        Length::Pixel(n) | Length::Angle(n) if n < 0.0 => Err(format!("length {text} is negative")),
        _ => Ok(length),
    }
}

fn lengths(text: &str) -> Result<(Length, Length), String> {
    let (first, second) = pair(text)?;
    match (length(first)?, length(second)?) {
        (a @ Length::Pixel(_), b @ Length::Pixel(_))
        | (a @ Length::Angle(_), b @ Length::Angle(_)) => Ok((a, b)),
        _ => Err(format!("{text:?} mixes pixels and angles")),
    }
}

/// `range=[a, b]` with the keywords that say what it means.
fn range<'a>(get: &impl Fn(&str) -> Option<&'a str>) -> Result<Range, String> {
    let Some(text) = get("range") else { return Ok(Range::All) };
    let (first, second) = pair(text)?;
    let channel = |t: &str| t.strip_suffix("chan").and_then(|n| n.trim().parse::<f64>().ok());
    if let (Some(a), Some(b)) = (channel(first), channel(second)) {
        return Ok(Range::Channels(a, b));
    }
    let quantity = |t: &str| {
        Quantity::parse("range", t, &[Dimension::Frequency, Dimension::Velocity])
            .map_err(|_| format!("{t:?} is no channel (\"3chan\"), frequency or velocity"))
    };
    let (a, b) = (quantity(first)?, quantity(second)?);
    if a.dimension() != b.dimension() {
        return Err(format!("{text:?} mixes frequency and velocity"));
    }
    let velocity = match get("veltype").map(str::to_ascii_lowercase).as_deref() {
        _ if a.dimension() == Dimension::Frequency => None,
        None | Some("radio") => Some(VelocityType::Radio),
        Some("optical") => Some(VelocityType::Optical),
        Some(other) => {
            return Err(format!("veltype={other} is not supported; use radio or optical"));
        }
    };
    let frame = match get("frame").map(str::to_ascii_uppercase).as_deref() {
        None => None,
        Some("LSRK") => Some(FreqFrame::Lsrk),
        Some("LSRD") => Some(FreqFrame::Lsrd),
        Some("BARY") => Some(FreqFrame::Bary),
        Some("GEO") => Some(FreqFrame::Geo),
        Some("TOPO") => Some(FreqFrame::Topo),
        Some(other) => return Err(format!("frame={other} is not supported")),
    };
    let restfreq_hz = match get("restfreq") {
        None => None,
        Some(text) => Some(
            Quantity::parse("restfreq", text, &[Dimension::Frequency])
                .map_err(|_| format!("restfreq={text} is no frequency"))?
                .value(),
        ),
    };
    Ok(Range::Spectral { bounds: (a.value(), b.value()), velocity, frame, restfreq_hz })
}
