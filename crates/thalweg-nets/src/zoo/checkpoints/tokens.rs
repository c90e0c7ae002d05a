//! Names cut into words and numbers.

/// A word, in small letters, or a number.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// In small letters.
    Word(String),
    /// Of any writing: see [`tokens`].
    Number(f64),
}

/// The word, where it is one.
pub(super) fn word(token: &Token) -> Option<&str> {
    match token {
        Token::Word(word) => Some(word),
        Token::Number(_) => None,
    }
}

/// The words and numbers of a name in order; what stands between them is left out.
pub(super) fn tokens(name: &str) -> Vec<Token> {
    let (mut tokens, mut rest) = (Vec::new(), name);
    while let Some(c) = rest.chars().next() {
        let len = if c.is_ascii_digit() {
            let (value, len) = number(rest);
            tokens.push(Token::Number(value));
            len
        } else if c.is_alphabetic() {
            let len = word_len(rest);
            tokens.push(Token::Word(rest[..len].to_lowercase()));
            len
        } else {
            c.len_utf8()
        };
        rest = &rest[len..];
    }
    tokens
}

/// Letters up to the next that begins a word of its own: `modelFinal` is two.
fn word_len(text: &str) -> usize {
    let mut last_small = false;
    for (i, c) in text.char_indices() {
        if !c.is_alphabetic() || (last_small && c.is_uppercase()) {
            return i;
        }
        last_small = c.is_lowercase();
    }
    text.len()
}

/// The number that `text` begins with, and its length: `1,000`, `3.5`, `1e3`, `1k`, `2.5M`.
fn number(text: &str) -> (f64, usize) {
    let digits = |s: &str| s.len() - s.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let mut len = digits(text);
    let mut plain = text[..len].to_owned();
    while text[len..].starts_with(',') && digits(&text[len + 1..]) == 3 {
        plain += &text[len + 1..len + 4];
        len += 4;
    }
    let fraction = text[len..].strip_prefix('.').map_or(0, digits);
    if fraction > 0 {
        plain += &text[len..=len + fraction];
        len += 1 + fraction;
    }
    let ends = |rest: &str| !rest.starts_with(char::is_alphanumeric);
    let exponent = text[len..].strip_prefix(['e', 'E']).map(|e| (e, usize::from(e.starts_with(['+', '-']))));
    if let Some((e, sign)) = exponent
        && digits(&e[sign..]) > 0
        && ends(&e[sign + digits(&e[sign..])..])
    {
        let taken = 1 + sign + digits(&e[sign..]);
        plain += &text[len..len + taken];
        len += taken;
    }
    let (factor, taken) = match text[len..].chars().next() {
        Some('k' | 'K') if ends(&text[len + 1..]) => (1e3, 1),
        Some('m' | 'M') if ends(&text[len + 1..]) => (1e6, 1),
        Some('B' | 'G') if ends(&text[len + 1..]) => (1e9, 1),
        _ => (1.0, 0),
    };
    (plain.parse::<f64>().unwrap_or(f64::INFINITY) * factor, len + taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_into_words_and_numbers() {
        use Token::{Number, Word};
        let word = |w: &str| Word(w.into());
        assert_eq!(tokens("globalStep=1.5k"), [word("global"), word("step"), Number(1500.0)]);
        assert_eq!(tokens("a-1,000_2e3"), [word("a"), Number(1000.0), Number(2000.0)]);
        assert_eq!(tokens("v1.2.3"), [word("v"), Number(1.2), Number(3.0)]);
        assert_eq!(tokens("3e5f-7kg"), [Number(3.0), word("e"), Number(5.0), word("f"), Number(7.0), word("kg")]);
        assert_eq!(tokens("1M 2B"), [Number(1e6), Number(2e9)]);
        assert_eq!(tokens("é·٣"), [word("é")]);
    }
}
