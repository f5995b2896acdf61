//! Lines of a log: a record behind its checksum, so that a line that a crash tore is known for what it is.

use serde::{Serialize, de::DeserializeOwned};

/// `CRC "record"\n`: the record as YAML (JSON knows no NaN, and a residual may have one) in a JSON string
/// (one line), and the CRC-32 of that string in eight hexadecimal digits.
pub(super) fn encode(record: &impl Serialize) -> std::io::Result<String> {
    let yaml = serde_yaml_ng::to_string(record).map_err(std::io::Error::other)?;
    let text = serde_json::to_string(&yaml)?;
    Ok(format!("{:08x} {text}\n", crc32fast::hash(text.as_bytes())))
}

/// The records of a log. Lines that are torn, or changed, are left out: what they said is done again.
pub(super) fn decode<T: DeserializeOwned>(log: &[u8]) -> Vec<T> {
    log.split(|&byte| byte == b'\n').filter_map(record).collect()
}

fn record<T: DeserializeOwned>(line: &[u8]) -> Option<T> {
    let (crc, text) = line.split_at_checked(9)?;
    let crc = std::str::from_utf8(crc).ok()?.strip_suffix(' ')?;
    let crc = u32::from_str_radix(crc, 16).ok()?;
    if crc != crc32fast::hash(text) {
        return None;
    }
    let yaml: String = serde_json::from_slice(text).ok()?;
    serde_yaml_ng::from_str(&yaml).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_lines_are_left_out_and_the_others_stay() {
        let records: Vec<(usize, String, f64)> =
            (0..5).map(|i| (i, "a \"quoted\"\nline".repeat(i), 0.1 + i as f64 / 3.0)).collect();
        let lines: Vec<String> = records.iter().map(|r| encode(r).unwrap()).collect();
        let log = lines.concat();
        assert_eq!(decode::<(usize, String, f64)>(log.as_bytes()), records);
        // Cut anywhere: whole lines before the cut are there, and nothing else.
        for cut in 0..log.len() {
            let whole = log[..cut].matches('\n').count();
            let found: Vec<(usize, String, f64)> = decode(&log.as_bytes()[..cut]);
            // A line that lacks only its end is whole too.
            let complete = log.as_bytes()[cut] == b'\n';
            assert_eq!(found, records[..whole + usize::from(complete)], "{cut}");
        }
        // Any byte changed: one line is lost, or two that became one.
        for at in 0..log.len() {
            let mut damaged = log.clone().into_bytes();
            damaged[at] ^= 0x04;
            let found: Vec<(usize, String, f64)> = decode(&damaged);
            assert!(found.len() >= records.len() - 2 && found.len() < records.len(), "{at}");
            assert!(found.iter().all(|record| records.contains(record)), "{at}");
        }
        // A torn line, and another run's behind it.
        let torn = format!("{}{}\n{}", lines[0], &lines[1][..20], lines[2]);
        let found: Vec<(usize, String, f64)> = decode(torn.as_bytes());
        assert_eq!(found, [records[0].clone(), records[2].clone()]);
    }
}
