//! What is read, counted and put together is what a plain recursion would write.

use super::*;
use crate::gateway::model::content::Content;
use crate::gateway::model::random::Random;
use crate::res::service;

const API: &str = "/api/";

/// Resources by number: whether it is a model, and what it references in order.
type Graph = Vec<(bool, Vec<usize>)>;

fn alias(number: usize) -> AliasKey {
    AliasKey::from_parts(number as u32, 1)
}

fn number(alias: AliasKey) -> usize {
    alias.index() as usize
}

fn content(graph: &Graph, number: usize) -> Rc<Content> {
    let (is_model, references) = &graph[number];
    let reference = |to: &usize| format!(r#"{{"rid":"r.{to}"}}"#);
    let values: Vec<_> = references.iter().map(reference).collect();
    let result = match is_model {
        true => {
            let values = values.iter().enumerate();
            let members: Vec<_> = values
                .map(|(i, value)| format!(r#""{i:03}":{value}"#))
                .collect();
            format!(r#"{{"model":{{"0":"<\n>",{}}}}}"#, members.join(","))
        }
        false => format!(r#"{{"collection":[1.0,{}]}}"#, values.join(",")),
    };
    let result = result.replace(",}", "}").replace(",]", "]");
    let payload = format!(r#"{{"result":{result}}}"#);
    let data = service::resource(
        payload.as_bytes(),
        crate::gateway::Options::default().resources,
    )
    .expect("a resource")
    .data;
    Rc::new(Content::new(data, number as u64 + 1))
}

/// What a resource expands to, by recursion, and how many resources that is. `None` when it
/// is more than a test has room for.
fn naive(graph: &Graph, is_flat: bool, at: usize, above: &mut Vec<usize>) -> Option<(String, u64)> {
    let (is_model, references) = &graph[at];
    let (mut text, mut count) = (String::new(), 1);
    above.push(at);
    text += if *is_model { r#"{"0":"<\n>""# } else { "[1.0" };
    for (i, to) in references.iter().enumerate() {
        text += ",";
        if *is_model {
            text += &format!(r#""{i:03}":"#);
        }
        let is_open = above.contains(to);
        if is_open || !is_flat {
            text += &format!(r#"{{"href":"{API}r/{to}""#);
        }
        if is_open {
            text += "}";
            continue;
        }
        if !is_flat {
            let member = if graph[*to].0 { "model" } else { "collection" };
            text += &format!(r#","{member}":"#);
        }
        let (child, resources) = naive(graph, is_flat, *to, above)?;
        text += &child;
        count += resources;
        if !is_flat {
            text += "}";
        }
        if text.len() > 1 << 16 {
            return None;
        }
    }
    text += if *is_model { "}" } else { "]" };
    above.pop();
    Some((text, count))
}

/// The same in three steps, each cut into pieces of so many units.
fn expand(
    graph: &Graph,
    is_flat: bool,
    limits: Limits,
    units: usize,
) -> Result<(String, Size), TooLarge> {
    let form = Form {
        is_flat,
        api_path: API,
    };
    let mut tree = Tree::new(alias(0));
    while !tree.is_read() {
        if let Some(wanted) = tree.wanted() {
            tree.give(content(graph, number(wanted)));
        }
        tree.read::<TooLarge>(form, limits, units, |_, rid, _| {
            let number: usize = rid[2..].parse().expect("a number");
            Ok(Followed::To(alias(number)))
        })?;
    }
    assert_eq!(tree.parts().expect("no errors").len(), tree.len());
    let mut count = Count::new(&tree, is_flat, limits);
    let size = loop {
        if let Some(size) = count.step(&tree, &mut units.clone())? {
            break size;
        }
    };
    let mut assembly = Assembly::new(&tree, is_flat, size);
    let body = loop {
        if let Some(body) = assembly.step(&tree, &mut units.clone()) {
            break body;
        }
    };
    assert_eq!(body.len(), body.capacity(), "the count is exact");
    Ok((String::from_utf8(body).expect("UTF-8"), size))
}

const NONE: Limits = Limits {
    resources: u64::MAX,
    bytes: u64::MAX,
};

#[test]
fn random_graphs_expand_as_a_recursion_would() {
    let mut random = Random::new([5, 6, 7, 8]);
    let mut pick = |n: usize| (random.next() % n as u64) as usize;
    let (mut cyclic, mut doubled) = (0, 0);
    for _ in 0..3_000 {
        let nodes = 1 + pick(8);
        let graph: Graph = (0..nodes)
            .map(|_| {
                let references = (0..pick(4)).map(|_| pick(nodes)).collect();
                (pick(2) == 0, references)
            })
            .collect();
        let (is_flat, units) = (pick(2) == 0, [1, 2, 7, 1_000][pick(4)]);
        let Some((text, resources)) = naive(&graph, is_flat, 0, &mut Vec::new()) else {
            continue;
        };
        cyclic += usize::from(text.matches(r#"r/0"}"#).count() > 0);
        doubled += usize::from(resources > nodes as u64);
        let size = Size {
            resources,
            bytes: text.len() as u64,
        };
        let exact = Limits {
            resources,
            bytes: size.bytes,
        };
        for limits in [NONE, exact] {
            let expanded = expand(&graph, is_flat, limits, units);
            assert_eq!(expanded, Ok((text.clone(), size)), "{graph:?}");
        }
        let fewer = Limits {
            resources: resources - 1,
            ..NONE
        };
        let expanded = expand(&graph, is_flat, fewer, units);
        assert_eq!(
            expanded,
            Err(TooLarge::Resources(resources - 1)),
            "{graph:?}"
        );
        let shorter = Limits {
            bytes: size.bytes - 1,
            ..NONE
        };
        let expanded = expand(&graph, is_flat, shorter, units);
        assert_eq!(expanded, Err(TooLarge::Bytes(size.bytes - 1)), "{graph:?}");
    }
    assert!(cyclic > 300 && doubled > 300, "{cyclic} {doubled}");
}

/// The units that it takes to know that a graph is too large.
fn units_to_refuse(graph: &Graph, limits: Limits) -> usize {
    let form = Form {
        is_flat: false,
        api_path: API,
    };
    let mut tree = Tree::new(alias(0));
    while let Some(wanted) = tree.wanted() {
        tree.give(content(graph, number(wanted)));
        let read = tree.read::<TooLarge>(form, limits, usize::MAX, |_, rid, _| {
            Ok(Followed::To(alias(rid[2..].parse().expect("a number"))))
        });
        read.expect("its resources are few");
    }
    let mut count = Count::new(&tree, false, limits);
    let mut units = usize::MAX;
    count.step(&tree, &mut units).expect_err("it is too large");
    tree.work() + (usize::MAX - units)
}

#[test]
fn a_graph_that_doubles_is_counted_by_its_edges() {
    let mut graph: Graph = (0..60).map(|n| (false, vec![n + 1, n + 1])).collect();
    graph.push((true, Vec::new()));
    let limits = Limits {
        resources: u64::MAX,
        bytes: 8 << 20,
    };
    let units = units_to_refuse(&graph, limits);
    assert!(units < 2_000, "{units}");
}

#[test]
fn a_graph_with_too_many_paths_is_walked_as_far_as_the_limit() {
    let all: Vec<usize> = (0..15).collect();
    let graph: Graph = (0..15).map(|_| (true, all.clone())).collect();
    let limits = Limits {
        resources: 1_000,
        bytes: u64::MAX,
    };
    let units = units_to_refuse(&graph, limits);
    assert!(units < 30_000, "{units}");
    // So it is below many ways to it.
    let mut graph: Graph = (0..15)
        .map(|_| (true, (15..30).collect()))
        .chain((15..30).map(|_| (true, (15..30).collect())))
        .collect();
    graph[0].1 = (1..15).collect();
    let units = units_to_refuse(&graph, limits);
    assert!(units < 30_000, "{units}");
}

#[test]
fn one_that_references_much_is_refused_while_it_is_read() {
    let graph: Graph = vec![(false, (0..2_000).collect())];
    let limits = Limits {
        resources: 100,
        bytes: u64::MAX,
    };
    let mut tree = Tree::new(alias(0));
    tree.give(content(&graph, 0));
    let form = Form {
        is_flat: true,
        api_path: API,
    };
    let mut followed = 0;
    let read = tree.read::<TooLarge>(form, limits, usize::MAX, |_, rid, _| {
        followed += 1;
        Ok(Followed::To(alias(rid[2..].parse().expect("a number"))))
    });
    assert_eq!(read, Err(TooLarge::Resources(100)));
    assert_eq!(followed, 101);
    // What it depends on is known all the same.
    assert_eq!(tree.parts().as_deref(), Some(&[(alias(0), 1)][..]));
}

#[test]
fn what_could_not_be_loaded_stands_as_its_error() {
    for (is_flat, expected) in [
        (
            false,
            r#"[1.0,{"href":"/api/r/1","error":{"code":"system.notFound","message":"Not found"}}]"#,
        ),
        (
            true,
            r#"[1.0,{"code":"system.notFound","message":"Not found"}]"#,
        ),
    ] {
        let graph: Graph = vec![(false, vec![1])];
        let form = Form {
            is_flat,
            api_path: API,
        };
        let mut tree = Tree::new(alias(0));
        tree.give(content(&graph, 0));
        let read = tree.read(form, NONE, usize::MAX, |_, _, _| -> Result<_, TooLarge> {
            Ok(Followed::To(alias(1)))
        });
        assert_eq!(read, Ok(()));
        assert_eq!(tree.wanted(), Some(alias(1)));
        tree.give_error(&Error::NOT_FOUND);
        assert!(tree.is_read() && tree.parts().is_none());
        let size = Count::new(&tree, is_flat, NONE).step(&tree, &mut 9);
        let size = size.expect("no limit").expect("it is plain");
        let body = Assembly::new(&tree, is_flat, size).step(&tree, &mut usize::MAX.clone());
        assert_eq!(body.as_deref(), Some(expected.as_bytes()));
    }
}

/// A collection of so many empty ones, read, with addresses below this path.
fn wide(count: usize, form: Form<'_>, limits: Limits) -> Result<Tree, TooLarge> {
    let mut graph: Graph = vec![(false, (1..=count).collect())];
    graph.resize(count + 1, (false, Vec::new()));
    let mut tree = Tree::new(alias(0));
    while let Some(wanted) = tree.wanted() {
        tree.give(content(&graph, number(wanted)));
        tree.read::<TooLarge>(form, limits, usize::MAX, |_, rid, _| {
            Ok(Followed::To(alias(rid[2..].parse().expect("a number"))))
        })?;
    }
    Ok(tree)
}

#[test]
fn each_resource_and_each_reference_is_work() {
    let form = Form {
        is_flat: false,
        api_path: API,
    };
    let tree = wide(200, form, NONE).expect("no limits");
    let size = Count::new(&tree, false, NONE).step(&tree, &mut usize::MAX.clone());
    let size = size.expect("no limits").expect("it is plain");
    let mut assembly = Assembly::new(&tree, false, size);
    let mut parts = 1;
    while assembly.step(&tree, &mut 10).is_none() {
        parts += 1;
    }
    assert!((40..60).contains(&parts), "{parts}");
}

#[test]
fn addresses_that_are_no_part_of_a_flat_body_are_bounded_all_the_same() {
    let path = format!("/{}/", "p".repeat(98));
    let form = Form {
        is_flat: true,
        api_path: &path,
    };
    // 50 addresses of more than 100 bytes, and a body of some 300.
    let at_most = |bytes| Limits { bytes, ..NONE };
    assert!(wide(50, form, at_most(5_000)).is_ok());
    let refused = wide(50, form, at_most(1_000)).map(|_| ());
    assert_eq!(refused, Err(TooLarge::Bytes(1_000)));
}
