//! Calls of LAPACK, which interpreters run themselves.

/// A call of a LAPACK routine, which no [`Code`](crate::scalar::Code) can express.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LapackCall {
    /// The routine, for instance `dpotrf`.
    pub routine: String,
    /// What the return value is assigned to.
    pub result: Option<String>,
    /// The arguments as written, without casts and quotes.
    pub arguments: Vec<String>,
}

/// Recognises a tasklet that is one call of a LAPACKE routine.
pub fn lapack_call(text: &str) -> Option<LapackCall> {
    let text = text.trim().trim_end_matches(';').trim_end();
    let start = text.find("LAPACKE_")?;
    let result = match text[..start].trim() {
        "" => None,
        before => Some(before.strip_suffix('=')?.trim().to_string()),
    };
    let call = &text[start + "LAPACKE_".len()..];
    let open = call.find('(')?;
    let inner = call[open + 1..].strip_suffix(')')?;
    let mut arguments = Vec::new();
    let mut depth = 0_usize;
    let mut from = 0;
    for (at, character) in inner.char_indices() {
        match character {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.checked_sub(1)?,
            ',' if depth == 0 => {
                arguments.push(plain_argument(&inner[from..at]));
                from = at + 1;
            }
            _ => {}
        }
    }
    if depth != 0 {
        return None;
    }
    arguments.push(plain_argument(&inner[from..]));
    Some(LapackCall { routine: call[..open].trim().to_string(), result, arguments })
}

/// Drops a leading cast and the quotes of a character.
fn plain_argument(text: &str) -> String {
    let text = text.trim();
    let text = match text.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
        Some((cast, rest)) if cast.trim_end().ends_with('*') => rest.trim(),
        _ => text,
    };
    text.trim_matches('\'').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lapack_calls_are_recognised() {
        let call = lapack_call("_res = LAPACKE_zgetrs(LAPACK_ROW_MAJOR, 'N', NR, NM, (lapack_complex_double*)_a, NR, _ipiv, (lapack_complex_double*)_rhs_in, NM);").unwrap();
        assert_eq!(call.routine, "zgetrs");
        assert_eq!(call.result.as_deref(), Some("_res"));
        assert_eq!(call.arguments[1], "N");
        assert_eq!(call.arguments[4], "_a");
        assert_eq!(call.arguments[7], "_rhs_in");
        assert_eq!(lapack_call("a = b;"), None);
    }
}
