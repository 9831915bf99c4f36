//! Many texts in order.

/// Texts from which on it pays to sort them by keys.
pub const MANY: usize = 512;

/// The places of some texts in the order of the texts; of equal ones the first comes first.
///
/// What all texts begin with tells none apart. The eight bytes behind that tell most, and are
/// compared without a look at the text, which may be far away in memory.
pub fn places<'a>(count: usize, text: impl Fn(usize) -> &'a str) -> Vec<usize> {
    let mut common: &[u8] = match count {
        0 => return Vec::new(),
        _ => text(0).as_bytes(),
    };
    for place in 1..count {
        let same = common.iter().zip(text(place).as_bytes());
        common = &common[..same.take_while(|(a, b)| a == b).count()];
    }
    let key = |place| {
        let rest = &text(place).as_bytes()[common.len()..];
        let mut key = [0; size_of::<u64>()];
        let length = rest.len().min(key.len());
        key[..length].copy_from_slice(&rest[..length]);
        (u64::from_be_bytes(key), place)
    };
    let mut order: Vec<(u64, usize)> = (0..count).map(key).collect();
    order.sort_unstable_by(|a, b| {
        let texts = || text(a.1).cmp(text(b.1));
        (a.0.cmp(&b.0)).then_with(texts).then(a.1.cmp(&b.1))
    });
    order.into_iter().map(|(_, place)| place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_all_kinds_are_put_in_order() {
        for prefix in ["", "a", "a beginning that all of them have"] {
            let texts: Vec<String> = (0..500usize)
                .map(|n| match n % 5 {
                    0 => format!("{prefix}{}", n * 7 % 400),
                    1 => format!("{prefix}{}", "\0".repeat(n % 13)),
                    2 => format!("{prefix}longer than eight bytes {}", n % 50),
                    3 => format!("{prefix}{}", char::from(b'a' + (n % 26) as u8)),
                    _ => format!("{prefix}é{n}"),
                })
                .collect();
            for count in [0, 1, 2, 10, 500] {
                let mut expected: Vec<usize> = (0..count).collect();
                expected.sort_by_key(|place| &texts[*place]);
                assert_eq!(places(count, |place| &texts[place]), expected);
            }
        }
    }
}
