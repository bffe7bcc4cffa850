//! Finds which file of a crate imports which, from the sources with all forms of `use` and of paths.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use syn::visit::{self, Visit};

/// Holds a module's path from the root of its crate, as in `["line", "camera"]`. That of the root is empty.
pub type Module = Vec<String>;

/// Holds the files of a crate and what each imports from the others.
pub struct Crate {
    /// The file of every module that has one, below the crate's folder.
    pub files: BTreeMap<Module, String>,
    /// The imports, from which module to which, outside tests.
    pub imports: BTreeSet<(Module, Module)>,
}

/// Holds what one file says: its paths, and the names under which it exports what others define.
#[derive(Default)]
struct Sayings {
    /// The paths from the crate's root, outside tests.
    paths: BTreeSet<Vec<String>>,
    /// The names in this module, each with the path that it stands for.
    passed_on: BTreeMap<String, Vec<String>>,
}

impl Crate {
    /// Reads the crate whose root is `root`, as in `src/lib.rs`.
    pub fn read(root: &Path) -> Crate {
        let folder = root.parent().expect("a file in a folder");
        let mut sayings = BTreeMap::new();
        let mut files = BTreeMap::new();
        read_module(folder, root, Vec::new(), &mut sayings, &mut files);
        let mut imports = BTreeSet::new();
        for (module, said) in &sayings {
            for path in &said.paths {
                let target = resolve(path, &sayings, 0);
                if &target != module {
                    imports.insert((module.clone(), target));
                }
            }
        }
        Crate { files, imports }
    }

    /// Returns groups of files that import each other, directly or through others of the group. Each group is a list of
    /// its imports, in words.
    pub fn circles(&self) -> Vec<Vec<String>> {
        let reached: BTreeMap<&Module, BTreeSet<&Module>> =
            self.files.keys().map(|module| (module, self.reached_from(module))).collect();
        let mut circles = BTreeSet::new();
        for module in self.files.keys().filter(|module| reached[module].contains(module)) {
            let is_in =
                |other: &Module| reached[module].contains(other) && reached[other].contains(module);
            let within = self.imports.iter().filter(|(from, to)| is_in(from) && is_in(to));
            let words =
                within.map(|(from, to)| format!("{} uses {}", self.files[from], self.files[to]));
            circles.insert(words.collect::<Vec<String>>());
        }
        circles.into_iter().collect()
    }

    fn reached_from(&self, module: &Module) -> BTreeSet<&Module> {
        let mut reached = BTreeSet::new();
        let mut open = vec![module];
        while let Some(at) = open.pop() {
            for (_, to) in
                self.imports.range((at.clone(), Module::new())..).take_while(|(from, _)| from == at)
            {
                if reached.insert(to) {
                    open.push(to);
                }
            }
        }
        reached
    }
}

/// Returns the module that a path leads to: through names that modules export, to the one that defines the rest.
fn resolve(path: &[String], sayings: &BTreeMap<Module, Sayings>, depth: usize) -> Module {
    let mut module = Module::new();
    for (at, segment) in path.iter().enumerate() {
        let mut child = module.clone();
        child.push(segment.clone());
        if sayings.contains_key(&child) {
            module = child;
            continue;
        }
        let passed_on = sayings.get(&module).and_then(|said| said.passed_on.get(segment));
        if let Some(target) = passed_on.filter(|_| depth < 8) {
            let whole: Vec<String> = target.iter().chain(&path[at + 1..]).cloned().collect();
            return resolve(&whole, sayings, depth + 1);
        }
        break;
    }
    module
}

fn read_module(
    folder: &Path,
    file: &Path,
    module: Module,
    sayings: &mut BTreeMap<Module, Sayings>,
    files: &mut BTreeMap<Module, String>,
) {
    let text = std::fs::read_to_string(file).expect("reads");
    let parsed = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let children = parsed.items.iter().filter_map(|item| match item {
        syn::Item::Mod(child) if child.content.is_none() => Some(child.ident.to_string()),
        _ => None,
    });
    let mut reader = Reader {
        here: module.clone(),
        children: children.collect(),
        inside: Vec::new(),
        said: Sayings::default(),
    };
    reader.visit_file(&parsed);
    for item in &parsed.items {
        if let syn::Item::Mod(child) = item
            && child.content.is_none()
            && !is_for_tests(&child.attrs)
        {
            let name = child.ident.to_string();
            let path = file_of(file, &module, &name);
            let mut path_of_child = module.clone();
            path_of_child.push(name);
            read_module(folder, &path, path_of_child, sayings, files);
        }
    }
    files.insert(module.clone(), file.strip_prefix(folder).expect("below").display().to_string());
    sayings.insert(module, reader.said);
}

/// Returns the file of the module `name` that `parent` declares.
fn file_of(parent: &Path, module: &Module, name: &str) -> PathBuf {
    let folder = parent.parent().expect("a file in a folder");
    let is_root_of_folder = module.is_empty() || parent.ends_with("mod.rs");
    let stem = parent.file_stem().expect("a name");
    let folder = if is_root_of_folder { folder.to_owned() } else { folder.join(stem) };
    let single = folder.join(format!("{name}.rs"));
    if single.exists() { single } else { folder.join(name).join("mod.rs") }
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|a| {
        a.path().is_ident("test")
            || a.path().is_ident("cfg")
                && a.parse_args::<syn::Path>().is_ok_and(|p| p.is_ident("test"))
    })
}

struct Reader {
    /// The module of the file.
    here: Module,
    /// The modules that this file declares and that have files of their own.
    children: BTreeSet<String>,
    /// The modules within the file that are open at present.
    inside: Vec<String>,
    said: Sayings,
}

impl Reader {
    /// Returns the path from the crate's root, or `None` if it leads to another crate or stays in this file.
    fn path_from_root(&self, path: &[String]) -> Option<Vec<String>> {
        let mut base: Vec<String> = self.here.iter().chain(&self.inside).cloned().collect();
        let mut rest = path;
        if self.inside.is_empty() && self.children.contains(path.first()?) {
            base.extend(path.iter().cloned());
            return Some(base);
        }
        match path.first()?.as_str() {
            "crate" => {
                base.clear();
                rest = &path[1..];
            }
            "self" => rest = &path[1..],
            "super" => {
                while rest.first().is_some_and(|s| s == "super") {
                    base.pop();
                    rest = &rest[1..];
                }
            }
            _ => return None,
        }
        base.extend(rest.iter().cloned());
        Some(base)
    }

    fn note(&mut self, path: &[String]) {
        if let Some(path) = self.path_from_root(path) {
            self.said.paths.insert(path);
        }
    }

    fn note_use(&mut self, tree: &syn::UseTree, before: &[String], is_public: bool) {
        let with = |name: &syn::Ident| {
            let mut path = before.to_vec();
            if name != "self" || before.is_empty() {
                path.push(name.to_string());
            }
            path
        };
        let (name, path) = match tree {
            syn::UseTree::Path(p) => return self.note_use(&p.tree, &with(&p.ident), is_public),
            syn::UseTree::Group(group) => {
                return group.items.iter().for_each(|t| self.note_use(t, before, is_public));
            }
            syn::UseTree::Glob(_) => return self.note(before),
            syn::UseTree::Name(n) => (n.ident.to_string(), with(&n.ident)),
            syn::UseTree::Rename(r) => (r.rename.to_string(), with(&r.ident)),
        };
        let first = path.first().map(String::as_str);
        // In a 2018 path without a keyword, the first name is a child of this module or another crate.
        let own = matches!(first, Some("crate" | "self" | "super"));
        let whole =
            if own { path } else { std::iter::once("self".to_owned()).chain(path).collect() };
        let Some(target) = self.path_from_root(&whole) else { return };
        if is_public && self.inside.is_empty() {
            // What a folder's module exports is not what it needs.
            self.said.passed_on.insert(name, target);
        } else {
            self.said.paths.insert(target);
        }
    }
}

impl<'a> Visit<'a> for Reader {
    fn visit_item(&mut self, item: &'a syn::Item) {
        let attributes: &[syn::Attribute] = match item {
            syn::Item::Mod(m) => &m.attrs,
            syn::Item::Fn(f) => &f.attrs,
            syn::Item::Impl(i) => &i.attrs,
            syn::Item::Use(u) => &u.attrs,
            _ => &[],
        };
        if !is_for_tests(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, module: &'a syn::ItemMod) {
        self.inside.push(module.ident.to_string());
        visit::visit_item_mod(self, module);
        self.inside.pop();
    }

    fn visit_item_use(&mut self, item: &'a syn::ItemUse) {
        let is_public = !matches!(item.vis, syn::Visibility::Inherited);
        self.note_use(&item.tree, &[], is_public);
    }

    /// `pub(super)` imports nothing.
    fn visit_visibility(&mut self, _: &'a syn::Visibility) {}

    fn visit_path(&mut self, path: &'a syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        self.note(&names);
        visit::visit_path(self, path);
    }

    /// Paths within a macro's call are only tokens.
    fn visit_macro(&mut self, call: &'a syn::Macro) {
        self.note_tokens(call.tokens.clone());
    }
}

impl Reader {
    fn note_tokens(&mut self, tokens: proc_macro2::TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                proc_macro2::TokenTree::Ident(name) => {
                    if colons != 2 {
                        self.note(&std::mem::take(&mut path));
                    }
                    path.push(name.to_string());
                    colons = 0;
                }
                proc_macro2::TokenTree::Punct(p) if p.as_char() == ':' => colons += 1,
                other => {
                    self.note(&std::mem::take(&mut path));
                    colons = 0;
                    if let proc_macro2::TokenTree::Group(group) = other {
                        self.note_tokens(group.stream());
                    }
                }
            }
        }
        self.note(&path);
    }
}
