//! Detection of the kind of an image from its bytes. The media type that a server names is not trusted.

/// The media type of an image; none when it is not one that a browser shows.
pub(super) fn media_type(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => is_svg(std::str::from_utf8(bytes).ok()?).then_some("image/svg+xml"),
    }
}

/// Whether the first element of a text is `svg`, with or without a prefix.
fn is_svg(text: &str) -> bool {
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    loop {
        let end = match rest {
            _ if rest.starts_with("<!--") => "-->",
            _ if rest.starts_with("<?") => "?>",
            // A document type may have declarations in brackets.
            _ if rest.starts_with("<!") && rest.split_once('>').is_some_and(|(before, _)| before.contains('[')) => "]>",
            _ if rest.starts_with("<!") => ">",
            _ => break,
        };
        match rest.split_once(end) {
            Some((_, after)) => rest = after.trim_start(),
            None => return false,
        }
    }
    let name = rest.strip_prefix('<').and_then(|rest| rest.split([' ', '\t', '\r', '\n', '>', '/']).next());
    name.is_some_and(|name| name.rsplit(':').next() == Some("svg"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_known_by_their_bytes() {
        for (bytes, expected) in [
            (&b"\x89PNG\r\n\x1a\n...."[..], Some("image/png")),
            (b"\xff\xd8\xff\xe0", Some("image/jpeg")),
            (b"GIF89a", Some("image/gif")),
            (b"RIFF\0\0\0\0WEBPVP8 ", Some("image/webp")),
            (b"<svg/>", Some("image/svg+xml")),
            (
                b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- a > b --><!DOCTYPE svg PUBLIC 'x' 'y'>\n<svg xmlns='z'>",
                Some("image/svg+xml"),
            ),
            (b"<!DOCTYPE svg [ <!ENTITY a 'b'> ]><svg:svg>", Some("image/svg+xml")),
            (b"<!DOCTYPE html><html><svg/></html>", None),
            (b"<svgs/>", None),
            (b"<!-- <svg/>", None),
            (b"plain", None),
            (b"", None),
        ] {
            assert_eq!(media_type(bytes), expected, "{}", String::from_utf8_lossy(bytes));
        }
    }
}
