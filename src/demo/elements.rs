//! The chemical elements, of which clients see a page each: a query resource.

use super::post::{Answer, Post, reference};
use super::request::Request;
use super::{NO_METHOD, NOT_FOUND, Refusal};

/// Where the gateway asks how queries are now.
pub(super) const QUERIES: &str = "query.demo.elements";

/// Elements of a page.
const PAGE: usize = 8;

/// Most characters that are searched for.
const SEARCH_MAX: usize = 20;

const STARS_MAX: u32 = 1_000_000;

/// Symbol and name of each, in the order of their numbers.
const ELEMENTS: &str = "\
    H Hydrogen He Helium Li Lithium Be Beryllium B Boron C Carbon N Nitrogen O Oxygen F \
    Fluorine Ne Neon Na Sodium Mg Magnesium Al Aluminium Si Silicon P Phosphorus S Sulfur Cl \
    Chlorine Ar Argon K Potassium Ca Calcium Sc Scandium Ti Titanium V Vanadium Cr Chromium \
    Mn Manganese Fe Iron Co Cobalt Ni Nickel Cu Copper Zn Zinc Ga Gallium Ge Germanium As \
    Arsenic Se Selenium Br Bromine Kr Krypton Rb Rubidium Sr Strontium Y Yttrium Zr \
    Zirconium Nb Niobium Mo Molybdenum Tc Technetium Ru Ruthenium Rh Rhodium Pd Palladium Ag \
    Silver Cd Cadmium In Indium Sn Tin Sb Antimony Te Tellurium I Iodine Xe Xenon Cs Caesium \
    Ba Barium La Lanthanum Ce Cerium Pr Praseodymium Nd Neodymium Pm Promethium Sm Samarium \
    Eu Europium Gd Gadolinium Tb Terbium Dy Dysprosium Ho Holmium Er Erbium Tm Thulium Yb \
    Ytterbium Lu Lutetium Hf Hafnium Ta Tantalum W Tungsten Re Rhenium Os Osmium Ir Iridium \
    Pt Platinum Au Gold Hg Mercury Tl Thallium Pb Lead Bi Bismuth Po Polonium At Astatine Rn \
    Radon Fr Francium Ra Radium Ac Actinium Th Thorium Pa Protactinium U Uranium Np \
    Neptunium Pu Plutonium Am Americium Cm Curium Bk Berkelium Cf Californium Es Einsteinium \
    Fm Fermium Md Mendelevium No Nobelium Lr Lawrencium Rf Rutherfordium Db Dubnium Sg \
    Seaborgium Bh Bohrium Hs Hassium Mt Meitnerium Ds Darmstadtium Rg Roentgenium Cn \
    Copernicium Nh Nihonium Fl Flerovium Mc Moscovium Lv Livermorium Ts Tennessine Og \
    Oganesson";

#[derive(Debug)]
struct Element {
    symbol: &'static str,
    name: &'static str,
    stars: u32,
}

/// The table.
#[derive(Debug)]
pub(super) struct Elements(Vec<Element>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Number,
    Name,
    Stars,
}

/// What a query asks for. All queries that mean the same are written in one way.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    /// In small letters.
    search: String,
    order: Order,
    from: usize,
}

impl Wanted {
    fn read(query: &str) -> Self {
        let mut wanted = Self {
            search: String::new(),
            order: Order::Number,
            from: 0,
        };
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match (name, value) {
                // Names have letters only: whatever is escaped is none.
                ("q", text) => {
                    let letters = text.bytes().filter(u8::is_ascii_alphabetic);
                    for letter in letters.take(SEARCH_MAX) {
                        wanted.search.push(letter.to_ascii_lowercase().into());
                    }
                }
                ("sort", "name") => wanted.order = Order::Name,
                ("sort", "stars") => wanted.order = Order::Stars,
                ("from", number) => wanted.from = number.parse().unwrap_or(0),
                _ => {}
            }
        }
        wanted
    }

    fn normalised(&self) -> String {
        let order = match self.order {
            Order::Number => "number",
            Order::Name => "name",
            Order::Stars => "stars",
        };
        format!("q={}&sort={order}&from={}", self.search, self.from)
    }
}

impl Elements {
    pub(super) fn new() -> Self {
        let mut words = ELEMENTS.split(' ');
        let mut elements = Vec::new();
        while let (Some(symbol), Some(name)) = (words.next(), words.next()) {
            elements.push(Element {
                symbol,
                name,
                stars: 0,
            });
        }
        Self(elements)
    }

    /// The places of those that have what is searched for.
    fn found<'a>(&'a self, search: &'a str) -> impl Iterator<Item = usize> + 'a {
        let is_found = move |element: &Element| {
            element.name.to_ascii_lowercase().contains(search)
                || element.symbol.eq_ignore_ascii_case(search)
        };
        let elements = self.0.iter().enumerate();
        elements.filter_map(move |(place, element)| is_found(element).then_some(place))
    }

    fn page(&self, wanted: &Wanted) -> Vec<String> {
        let is_behind = |one: usize, other: usize| match wanted.order {
            Order::Number => false,
            Order::Name => self.0[one].name > self.0[other].name,
            Order::Stars => self.0[one].stars < self.0[other].stars,
        };
        // There are few, and most are in order: a sort of the library takes more code than that.
        let mut places: Vec<usize> = Vec::new();
        for place in self.found(&wanted.search) {
            let ahead = places.iter().rposition(|other| !is_behind(*other, place));
            places.insert(ahead.map_or(0, |ahead| ahead + 1), place);
        }
        let page = places.into_iter().skip(wanted.from).take(PAGE);
        page.map(|place| reference(&name(place))).collect()
    }

    /// The place of the element that a resource is.
    fn place(&self, resource: &str) -> Option<usize> {
        let number: usize = resource.strip_prefix("element.")?.parse().ok()?;
        let place = number.checked_sub(1)?;
        (place < self.0.len()).then_some(place)
    }

    pub(super) fn get(&self, resource: &str, request: &Request) -> Result<Answer, Refusal> {
        let query = request.query();
        let wanted = Wanted::read(query);
        let content = match resource {
            "elements" => format!(r#""collection":[{}]"#, self.page(&wanted).join(",")),
            "elements.count" => {
                let count = self.found(&wanted.search).count();
                format!(r#""model":{{"count":{count},"page":{PAGE}}}"#)
            }
            _ => {
                let place = self.place(resource).ok_or(NOT_FOUND)?;
                let Element {
                    symbol,
                    name,
                    stars,
                } = &self.0[place];
                let number = place + 1;
                return Ok(Answer::model(&format!(
                    r#"{{"number":{number},"symbol":"{symbol}","name":"{name}","stars":{stars}}}"#
                )));
            }
        };
        Ok(Answer::Result(match query {
            "" => format!("{{{content}}}"),
            _ => format!(r#"{{{content},"query":"{}"}}"#, wanted.normalised()),
        }))
    }

    /// How a query is now. The gateway finds out what is different.
    pub(super) fn ask(&self, request: &Request) -> Result<Answer, Refusal> {
        let wanted = Wanted::read(request.query());
        Ok(Answer::collection(&self.page(&wanted)))
    }

    pub(super) fn call(
        &mut self,
        resource: &str,
        method: &str,
        post: &mut Post,
    ) -> Result<Answer, Refusal> {
        if method != "star" {
            return Err(NO_METHOD);
        }
        let place = self.place(resource).ok_or(NOT_FOUND)?;
        let element = &mut self.0[place];
        element.stars = STARS_MAX.min(element.stars + 1);
        let values = format!(r#"{{"stars":{}}}"#, element.stars);
        post.change(&name(place), &values);
        let data = format!(r#"{{"subject":"{QUERIES}"}}"#);
        post.event("elements", "query", data);
        Ok(Answer::done())
    }
}

fn name(place: usize) -> String {
    format!("element.{}", place + 1)
}
