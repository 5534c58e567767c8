//! A page as its blocks.
//!
//! ````text
//! ```toml file
//! # sqlitrest.toml
//! …
//! ```
//!
//! ```console
//! $ sqlitrest serve &
//! sqlitrest 0.1.0: serving my.db (1 table) on http://127.0.0.1:3000, engine component
//! $ curl -s localhost:3000/notes
//! [{"id":1}]
//! ```
//! ````
//!
//! A `file` block is written to the file that its first line names, a comment (of CSV and JSON, which have none, without that line). Of a `console` block the lines behind `$ ` are typed, with those behind `> ` that
//! go on with them, and the others are what is printed. A page is one session in a directory that is empty at first; where it has the comment
//! [`FRESH`], each of its sections is one, and begins with the blocks before the first section.

use std::ops::Range;

/// What a page says in which each section begins anew.
pub const FRESH: &str = "<!-- each section begins in an empty directory -->";

/// A block in fences.
#[derive(Clone, Debug)]
pub struct Block {
    /// The line of its first fence, from 1.
    pub line: usize,
    /// What stands behind that fence.
    pub info: String,
    /// Its lines in the page, without the fences.
    pub range: Range<usize>,
    /// The heading above it.
    pub section: String,
}

/// A page.
pub struct Page {
    /// Its lines.
    pub lines: Vec<String>,
    /// Its blocks, in their order.
    pub blocks: Vec<Block>,
    /// Whether each section begins anew.
    is_fresh: bool,
}

/// Something that a session does.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A file is written.
    File {
        /// The line where it stands.
        line: usize,
        /// Its name.
        name: String,
        /// Its text.
        text: String,
    },
    /// A command is typed.
    Command {
        /// The line where it stands.
        line: usize,
        /// What is typed.
        typed: String,
        /// What is printed.
        printed: String,
        /// The lines of the page where that stands.
        range: Range<usize>,
    },
}

impl Page {
    /// Reads a page.
    ///
    /// # Panics
    /// Where a block does not end.
    pub fn parse(text: &str) -> Page {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let (mut blocks, mut section, mut at) = (Vec::new(), String::new(), 0);
        while let Some(line) = lines.get(at) {
            at += 1;
            if let Some(heading) = line.strip_prefix("## ") {
                heading.clone_into(&mut section);
            }
            let Some(info) = line.trim_start().strip_prefix("```") else { continue };
            let end = lines[at..].iter().position(|line| line.trim_start().starts_with("```"));
            let end = at + end.unwrap_or_else(|| panic!("line {at}: a block without an end"));
            blocks.push(Block { line: at, info: info.to_owned(), range: at..end, section: section.clone() });
            at = end + 1;
        }
        Page { is_fresh: text.contains(FRESH), lines, blocks }
    }

    /// What its sessions do: of each the section and its steps.
    pub fn sessions(&self) -> Vec<(String, Vec<Step>)> {
        let mut sessions: Vec<(String, Vec<Step>)> = Vec::new();
        let before = self.blocks.iter().filter(|block| block.section.is_empty());
        let common: Vec<Step> = before.flat_map(|block| self.steps(block)).collect();
        for block in &self.blocks {
            let section = if self.is_fresh { block.section.clone() } else { String::new() };
            let is_common = self.is_fresh && section.is_empty();
            let steps = self.steps(block);
            match sessions.last_mut() {
                _ if steps.is_empty() || is_common => {}
                Some((known, old)) if *known == section => old.extend(steps),
                _ if self.is_fresh => sessions.push((section, [common.clone(), steps].concat())),
                _ => sessions.push((section, steps)),
            }
        }
        sessions
    }

    fn steps(&self, block: &Block) -> Vec<Step> {
        match block.info.split_once(' ') {
            _ if block.info == "console" => self.commands(block),
            Some((_, "file")) => vec![self.file(block)],
            _ => Vec::new(),
        }
    }

    fn file(&self, block: &Block) -> Step {
        let lines = &self.lines[block.range.clone()];
        let first = lines.first().unwrap_or_else(|| panic!("line {}: an empty file", block.line));
        let name = first.trim_start_matches(['#', '-', '/', ' ']).trim_end_matches(" -->");
        let is_name = !name.is_empty() && !name.contains([' ', '/']);
        assert!(is_name, "line {}: the first line of a file is a comment with its name", block.line);
        // Where nothing can be a comment the name is not a part of the file.
        let is_part = !name.ends_with(".csv") && !name.ends_with(".json");
        let text = if is_part { lines } else { &lines[1..] };
        Step::File { line: block.line, name: name.to_owned(), text: text.join("\n") + "\n" }
    }

    fn commands(&self, block: &Block) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut at = block.range.start;
        while at < block.range.end {
            let line = at + 1;
            let first = self.lines[at].strip_prefix("$ ");
            let mut typed = first.unwrap_or_else(|| panic!("line {line}: no `$ `")).to_owned();
            at += 1;
            while let Some(more) = self.lines[at].strip_prefix("> ").filter(|_| at < block.range.end) {
                typed = format!("{typed}\n{more}");
                at += 1;
            }
            let begin = at;
            while at < block.range.end && !self.lines[at].starts_with("$ ") {
                at += 1;
            }
            let printed = self.lines[begin..at].join("\n");
            steps.push(Step::Command { line, typed, printed, range: begin..at });
        }
        steps
    }

    /// The text with other lines in these places, which are in their order.
    pub fn with(&self, printed: &[(Range<usize>, String)]) -> String {
        let mut lines = self.lines.clone();
        for (range, text) in printed.iter().rev() {
            lines.splice(range.clone(), text.lines().map(str::to_owned));
        }
        lines.join("\n") + "\n"
    }
}

#[test]
fn a_page_is_what_is_typed_and_printed() {
    let text = "# T\n```sql file\n-- a.sql\nSELECT 1;\n```\n## One\n```console\n$ ls\na.sql\n$ cat \\\n> a.sql\n```\n## Two\n```sh\nnot run\n```\n\
                ```console\n$ true\n```\n";
    let names = |page: &Page| {
        let lines = |steps: Vec<Step>| steps.iter().map(line_of).collect::<Vec<_>>();
        page.sessions().into_iter().map(|(name, steps)| (name, lines(steps))).collect::<Vec<_>>()
    };
    let page = Page::parse(text);
    assert_eq!(names(&page), [(String::new(), vec![2, 8, 10, 18])]);
    let Step::Command { typed, printed, range, .. } = &page.sessions()[0].1[2] else { panic!("a command") };
    assert_eq!((typed.as_str(), printed.as_str(), range.clone()), ("cat \\\na.sql", "", 11..11));
    assert!(page.with(&[(8..9, "b\nc".to_owned())]).contains("$ ls\nb\nc\n$ cat"));
    let page = Page::parse(&format!("{FRESH}\n{text}"));
    assert_eq!(names(&page), [("One".to_owned(), vec![3, 9, 11]), ("Two".to_owned(), vec![3, 19])]);
}

#[cfg(test)]
fn line_of(step: &Step) -> usize {
    match step {
        Step::File { line, .. } | Step::Command { line, .. } => *line,
    }
}
