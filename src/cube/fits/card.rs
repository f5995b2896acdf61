//! FITS header cards: 80 characters each, in blocks of 2880 bytes (FITS standard 4.0, section 4).

/// Bytes of a FITS block; headers and data fill whole ones.
pub(super) const BLOCK: usize = 2880;
/// Bytes of a card.
const CARD: usize = 80;
/// Cards in a block.
const CARDS_PER_BLOCK: usize = BLOCK / CARD;
/// Longest string value that fits into a card with its quotes.
const MAX_STRING: usize = 68;

/// A header being put together.
#[derive(Clone, Debug, Default)]
pub(super) struct Header {
    cards: Vec<[u8; CARD]>,
}

impl Header {
    /// Blocks that the header takes with its END card and `more` further cards.
    pub(super) fn blocks(&self, more: usize) -> usize {
        (self.cards.len() + more + 1).div_ceil(CARDS_PER_BLOCK)
    }

    /// The header in exactly `blocks` blocks. Blank cards before END fill what is left over, since
    /// nothing but blanks of the same block may follow END.
    pub(super) fn into_bytes(mut self, blocks: usize) -> Vec<u8> {
        while self.blocks(0) < blocks {
            self.push("");
        }
        self.push("END");
        let mut bytes = self.cards.concat();
        bytes.resize(blocks * BLOCK, b' ');
        bytes
    }

    pub(super) fn logical(&mut self, key: &str, value: bool, comment: &str) {
        self.value(key, &format!("{:>20}", if value { "T" } else { "F" }), comment);
    }

    pub(super) fn integer(&mut self, key: &str, value: i64, comment: &str) {
        self.value(key, &format!("{value:>20}"), comment);
    }

    /// A real number with all the digits that f64 needs.
    pub(super) fn real(&mut self, key: &str, value: f64, comment: &str) {
        let mut text = format!("{value:E}");
        if !text.contains('.') {
            let exponent = text.find('E').unwrap_or(text.len());
            text.insert_str(exponent, ".0");
        }
        self.value(key, &format!("{text:>20}"), comment);
    }

    /// A string; what goes beyond the card is cut off, characters outside ASCII become `?`.
    pub(super) fn string(&mut self, key: &str, value: &str, comment: &str) {
        let mut quoted = String::new();
        for c in printable(value).chars() {
            let width = if c == '\'' { 2 } else { 1 };
            if quoted.len() + width > MAX_STRING {
                break;
            }
            quoted.push(c);
            if c == '\'' {
                quoted.push(c);
            }
        }
        self.value(key, &format!("'{quoted:<8}'"), comment);
    }

    /// A line of history. Long ones go on in further cards that begin with `>`, as casacore has it.
    pub(super) fn history(&mut self, line: &str) {
        let line = printable(line);
        let (first, mut rest) = line.split_at(line.len().min(72));
        self.push(&format!("HISTORY {first}"));
        while !rest.is_empty() {
            let (part, after) = rest.split_at(rest.len().min(71));
            self.push(&format!("HISTORY >{part}"));
            rest = after;
        }
    }

    fn value(&mut self, key: &str, value: &str, comment: &str) {
        let card = format!("{key:<8}= {value}");
        if comment.is_empty() || card.len() + 3 + comment.len() > CARD {
            self.push(&card);
        } else {
            self.push(&format!("{card} / {comment}"));
        }
    }

    fn push(&mut self, text: &str) {
        debug_assert!(text.len() <= CARD && text.is_ascii(), "{text}");
        let mut card = [b' '; CARD];
        let length = text.len().min(CARD);
        card[..length].copy_from_slice(&text.as_bytes()[..length]);
        self.cards.push(card);
    }
}

/// Only printable ASCII may stand in a header.
fn printable(text: &str) -> String {
    text.chars().map(|c| if (' '..='~').contains(&c) { c } else { '?' }).collect()
}
