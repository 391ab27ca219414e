//! The main pages beside pictures of them that are kept in `tests/fixtures/pictures`.
//!
//! A picture is the mean colour of each cell of 16 by 16 pixels, so it shows where things are and in which colours, and no letters.
//! Texts are in the monospace font of the machine: nearly all such fonts are equally wide, so lines break at the same words.
//! `UPDATE_PICTURES=1 scripts/test main_pages` takes the pictures anew.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use registry_tests::browser::Browser;
use serde::Deserialize;
use serde_json::json;

use crate::looks::{are_taken_anew, project};
use crate::market;

/// Edge of a cell in pixels.
const CELL: usize = 16;

/// Most levels of a colour, of 255, by which fonts change the mean around a cell.
const LEVELS: u16 = 10;

/// The largest share of cells that may differ by more. Another font changes 3 % of a page at most, a missing part 4.5 % at least.
const SHARE: f64 = 0.04;

/// Pages with the names of their pictures.
const PAGES: [(&str, &str); 4] = [
    ("list", "/viewer"),
    ("detail", "/viewer/devfiles/guild-registry/kiln"),
    ("versions", "/viewer/devfiles/guild-registry/kiln/versions"),
    ("status", "/viewer/status"),
];

/// Screens with their names. They are high, so that the pictures show the whole page; the icons there load when they are seen.
const SCREENS: [(&str, usize, usize); 2] = [("desk", 1280, 1600), ("phone", 384, 2400)];

/// The monospace font of the machine. With one name alone, browsers would take another size for it.
const FONT: &str = "* { font-family: monospace, monospace !important }";

/// A font of other metrics and thicker strokes, in place of one that another machine has.
const OTHER_FONT: &str =
    "@font-face { font-family: other; src: local('DejaVu Sans Mono Bold'), local('Liberation Mono Bold'); \
                          size-adjust: 99.4%; ascent-override: 83%; descent-override: 30% }
                          * { font-family: other, monospace !important }";

/// Gives the mean colours of the cells of a picture, row by row, and a picture in which each cell is a pixel.
const CELLS: &str = "
    const [url, cell, done] = arguments;
    const image = new Image();
    image.src = url;
    image.decode().then(() => {
        const canvas = document.createElement('canvas');
        const context = canvas.getContext('2d', { willReadFrequently: true });
        [canvas.width, canvas.height] = [image.width, image.height];
        context.drawImage(image, 0, 0);
        const [width, height] = [image.width, image.height].map((side) => Math.floor(side / cell));
        const small = new ImageData(width, height);
        for (let place = 0; place < width * height; place++) {
            const { data } = context.getImageData(place % width * cell, Math.floor(place / width) * cell, cell, cell);
            for (let channel = 0; channel < 4; channel++) {
                let sum = 0;
                for (let at = channel; at < data.length; at += 4) sum += data[at];
                small.data[place * 4 + channel] = sum / (cell * cell);
            }
        }
        [canvas.width, canvas.height] = [width, height];
        context.putImageData(small, 0, 0);
        done({ width, colours: [...small.data], picture: canvas.toDataURL('image/png').split(',')[1] });
    }, (error) => done(String(error)));";

/// The mean colours of the cells of a page.
#[derive(Debug, Deserialize)]
struct Cells {
    /// Number of cells in a row.
    width: usize,
    /// Red, green, blue and opacity of each cell, row by row.
    colours: Vec<u8>,
    /// A PNG in base64 in which each cell is a pixel.
    picture: String,
}

impl Cells {
    /// The cells of a PNG, each of so many pixels at an edge. The browser reads it, on a page without a policy.
    async fn of(browser: &Browser, picture: &[u8], edge: usize) -> Self {
        browser.client.goto("about:blank").await.expect("the empty page opens");
        let url = format!("data:image/png;base64,{}", STANDARD.encode(picture));
        let cells = browser.client.execute_async(CELLS, vec![json!(url), json!(edge)]).await;
        serde_json::from_value(cells.expect("the script runs")).expect("the picture can be read")
    }

    /// The kept picture of a name.
    async fn kept(browser: &Browser, name: &str) -> Self {
        let file = kept(name);
        let picture = std::fs::read(&file).unwrap_or_else(|error| panic!("cannot read {}: {error}", file.display()));
        Self::of(browser, &picture, 1).await
    }

    fn keep(&self, name: &str) {
        let file = kept(name);
        std::fs::create_dir_all(file.parent().expect("it is in a folder")).expect("a folder can be made");
        std::fs::write(file, STANDARD.decode(&self.picture).expect("it is base64")).expect("the picture is kept");
    }

    /// The mean around each cell: letters of another height would else count at the edges of lines.
    fn blurred(&self) -> impl Iterator<Item = [u16; 4]> {
        let cells: Vec<&[u8]> = self.colours.chunks_exact(4).collect();
        let (width, height) = (self.width, cells.len() / self.width);
        (0..cells.len()).map(move |place| {
            let (row, column) = (place / width, place % width);
            let mut sum = [0; 4];
            let mut count = 0;
            for row in row.saturating_sub(1)..=(row + 1).min(height - 1) {
                for column in column.saturating_sub(1)..=(column + 1).min(width - 1) {
                    let around = cells[row * width + column];
                    sum.iter_mut().zip(around).for_each(|(sum, colour)| *sum += u16::from(*colour));
                    count += 1;
                }
            }
            sum.map(|sum| sum / count)
        })
    }

    /// The share of cells that look different.
    fn difference(&self, other: &Self) -> f64 {
        if (self.width, self.colours.len()) != (other.width, other.colours.len()) {
            return 1.0;
        }
        let differs = |(one, other): &([u16; 4], [u16; 4])| {
            one.iter().zip(other).any(|(one, other)| one.abs_diff(*other) > LEVELS)
        };
        let different = self.blurred().zip(other.blurred()).filter(differs).count();
        let [different, all] =
            [different, self.colours.len() / 4].map(|count| u32::try_from(count).expect("few cells"));
        f64::from(different) / f64::from(all)
    }
}

/// The picture of a page on a screen, with its texts in a font, after a script has changed it.
async fn taken(
    browser: &Browser,
    url: &str,
    (_, width, height): (&str, usize, usize),
    font: &str,
    change: &str,
) -> Vec<u8> {
    let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
    browser.command("Emulation.setDeviceMetricsOverride", metrics).await;
    browser.open(url).await;
    // The policy of the pages allows no style in their text.
    let styled = format!(
        "const style = new CSSStyleSheet(); style.replaceSync({}); document.adoptedStyleSheets = [style]",
        json!(font)
    );
    browser.script(&styled).await;
    // Icons below the screen are not loaded.
    let loaded =
        "[...document.images].every((image) => image.complete || image.getBoundingClientRect().top >= innerHeight)";
    browser.until(&format!("document.fonts.status === 'loaded' && {loaded}")).await;
    browser.script(change).await;
    browser.picture().await
}

fn kept(name: &str) -> PathBuf {
    project().join(format!("tests/fixtures/pictures/{name}.png"))
}

#[tokio::test]
async fn main_pages_look_as_their_pictures() {
    let registry = market::published().await;
    let serve = registry.serve().await;
    let browser = Browser::start().await;
    let seen = project().join("target/screenshots");
    std::fs::create_dir_all(&seen).unwrap();
    let mut wrong = Vec::new();
    for (page, path) in PAGES {
        for screen in SCREENS {
            let name = format!("{page}-{}", screen.0);
            let picture = taken(&browser, &format!("{}{path}", serve.url), screen, FONT, "").await;
            let cells = Cells::of(&browser, &picture, CELL).await;
            if are_taken_anew() {
                cells.keep(&name);
            }
            let difference = cells.difference(&Cells::kept(&browser, &name).await);
            println!("{name}: {difference:.4}");
            if difference > SHARE {
                let file = seen.join(format!("golden-{name}.png"));
                std::fs::write(&file, picture).unwrap();
                wrong.push(format!(
                    "{name}: {:.1} % of it look different; see {} and {}",
                    difference * 100.0,
                    file.display(),
                    kept(&name).display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}\nUPDATE_PICTURES=1 takes the pictures anew", wrong.join("\n"));
}

#[tokio::test]
async fn page_in_another_font_fits_its_picture_and_a_broken_page_does_not() {
    let registry = market::published().await;
    let serve = registry.serve().await;
    let browser = Browser::start().await;
    let hidden = |selector: &str| format!("document.querySelector('{selector}').style.display = 'none'");
    let moved = "document.querySelector('.detail').append(document.querySelector('.use'))";
    let mut wrong = Vec::new();
    for (page, path, changes) in [
        ("list", PAGES[0].1, vec![hidden(".cards"), hidden(".hero")]),
        ("detail", PAGES[1].1, vec![moved.to_owned(), hidden(".use"), hidden(".tabs")]),
        ("status", PAGES[3].1, vec![hidden(".problems"), hidden(".numbers")]),
    ] {
        for screen in SCREENS {
            let (name, url) = (format!("{page}-{}", screen.0), format!("{}{path}", serve.url));
            let kept = Cells::kept(&browser, &name).await;
            let other = taken(&browser, &url, screen, OTHER_FONT, "").await;
            let difference = Cells::of(&browser, &other, CELL).await.difference(&kept);
            println!("{name} in another font: {difference:.4}");
            if difference > SHARE {
                wrong.push(format!("{name} in another font: {difference:.3} look different"));
            }
            for change in &changes {
                let broken = taken(&browser, &url, screen, FONT, change).await;
                let difference = Cells::of(&browser, &broken, CELL).await.difference(&kept);
                println!("{name} after {change}: {difference:.4}");
                if difference <= SHARE {
                    wrong.push(format!("{name} after {change}: only {difference:.3} look different"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
