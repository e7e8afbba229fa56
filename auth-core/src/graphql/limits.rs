//! Bounds on what one document may ask for, checked before anything is validated or run (ASVS 5.0, 4.3.1).
//!
//! One walk expands fragments the way execution would and stops at the first bound, so neither aliases nor fragments
//! that spread each other can multiply work: not here, not in validation, and not the one expensive thing, a hash.

use std::collections::HashMap;

use async_graphql::parser::types::{
    Directive, DocumentOperations, ExecutableDocument, FragmentDefinition, OperationDefinition,
    OperationType, Selection, SelectionSet,
};
use async_graphql::{Name, Positioned};

use crate::operation::Operation;

const MAX_BRACKETS: usize = 256;
const MAX_DEPTH: usize = 8;
const MAX_SELECTIONS: usize = 200;
const MAX_ALIASES: usize = 10;
const MAX_DIRECTIVES: usize = 10;

/// Tools ask for types within types, as many as `[[String!]!]!` could have. It costs no more than the schema is long.
const MAX_INTROSPECTION_DEPTH: usize = 20;
const MAX_INTROSPECTED: usize = 2000;

/// Why a document is refused, for people.
pub type Refusal = &'static str;

/// Refuses text with so many brackets that the parser, which calls itself for each level, might run out of stack.
///
/// Brackets in strings count too: a scanner that skips strings can be led astray, a plain count cannot.
///
/// # Errors
/// [`Refusal`]
pub fn check_brackets(query: &str) -> Result<(), Refusal> {
    let opening = query
        .bytes()
        .filter(|byte| matches!(byte, b'{' | b'[' | b'('));
    if opening.count() > MAX_BRACKETS {
        return Err("The query has too many brackets.");
    }
    Ok(())
}

/// Finds the operation that is to run, after checking the whole document against the bounds.
///
/// With `introspection`, what asks for the schema has wider bounds of its own.
///
/// # Errors
/// [`Refusal`]
pub fn select(
    document: &ExecutableDocument,
    name: Option<&str>,
    introspection: bool,
) -> Result<(OperationType, Operation), Refusal> {
    let mut walk = Walk {
        fragments: &document.fragments,
        introspection,
        selections: 0,
        introspected: 0,
        aliases: 0,
        directives: 0,
        mutations: 0,
        first: None,
    };
    for fragment in document.fragments.values() {
        walk.directives(&fragment.node.directives)?;
        let on = fragment.node.type_condition.node.on.node.as_str();
        let about_schema = introspection && on.starts_with("__");
        walk.selection_set(&fragment.node.selection_set.node, 1, about_schema)?;
    }
    for (_, operation) in document.operations.iter() {
        walk.operation(&operation.node)?;
    }
    let selected = find(&document.operations, name)?;
    walk.operation(selected)?;
    Ok((selected.ty, walk.first.unwrap_or(Operation::Other)))
}

fn find<'a>(
    operations: &'a DocumentOperations,
    name: Option<&str>,
) -> Result<&'a OperationDefinition, Refusal> {
    match (operations, name) {
        (DocumentOperations::Single(operation), None) => Ok(&operation.node),
        (DocumentOperations::Multiple(operations), Some(name)) => operations
            .get(name)
            .map(|operation| &operation.node)
            .ok_or("The document has no operation with this operationName."),
        (DocumentOperations::Multiple(operations), None) => match operations.values().next() {
            Some(operation) if operations.len() == 1 => Ok(&operation.node),
            _ => {
                Err("The document has several operations; operationName must say which one to run.")
            }
        },
        (DocumentOperations::Single(_), Some(_)) => {
            Err("The document has no operation with this operationName.")
        }
    }
}

struct Walk<'a> {
    fragments: &'a HashMap<Name, Positioned<FragmentDefinition>>,
    introspection: bool,
    selections: usize,
    introspected: usize,
    aliases: usize,
    directives: usize,
    mutations: usize,
    first: Option<Operation>,
}

impl<'a> Walk<'a> {
    fn operation(&mut self, operation: &'a OperationDefinition) -> Result<(), Refusal> {
        self.mutations = 0;
        self.first = None;
        self.directives(&operation.directives)?;
        self.selection_set(&operation.selection_set.node, 1, false)
    }

    fn selection_set(
        &mut self,
        set: &'a SelectionSet,
        depth: usize,
        about_schema: bool,
    ) -> Result<(), Refusal> {
        let (max_depth, max_selections) = if about_schema {
            (MAX_INTROSPECTION_DEPTH, MAX_INTROSPECTED)
        } else {
            (MAX_DEPTH, MAX_SELECTIONS)
        };
        if depth > max_depth {
            return Err("The query is nested too deep.");
        }
        for selection in &set.items {
            let selections = if about_schema {
                &mut self.introspected
            } else {
                &mut self.selections
            };
            *selections += 1;
            if *selections > max_selections {
                return Err("The query selects too many fields.");
            }
            match &selection.node {
                Selection::Field(field) => {
                    let field = &field.node;
                    self.directives(&field.directives)?;
                    self.aliases += usize::from(field.alias.is_some());
                    if self.aliases > MAX_ALIASES {
                        return Err("The query has too many aliases.");
                    }
                    let operation = Operation::of_field(field.name.node.as_str());
                    self.first.get_or_insert(operation);
                    self.mutations += usize::from(operation.is_mutation());
                    // Not two hashes, and for an Idempotency-Key not two answers to remember.
                    if self.mutations > 1 {
                        return Err("A request may have only one mutation.");
                    }
                    let name = field.name.node.as_str();
                    let about_schema =
                        about_schema || self.introspection && matches!(name, "__schema" | "__type");
                    self.selection_set(&field.selection_set.node, depth + 1, about_schema)?;
                }
                Selection::FragmentSpread(spread) => {
                    self.directives(&spread.node.directives)?;
                    // An unknown fragment is for validation to report.
                    if let Some(fragment) = self.fragments.get(&spread.node.fragment_name.node) {
                        let set = &fragment.node.selection_set.node;
                        self.selection_set(set, depth + 1, about_schema)?;
                    }
                }
                Selection::InlineFragment(fragment) => {
                    self.directives(&fragment.node.directives)?;
                    let set = &fragment.node.selection_set.node;
                    self.selection_set(set, depth + 1, about_schema)?;
                }
            }
        }
        Ok(())
    }

    fn directives(&mut self, directives: &[Positioned<Directive>]) -> Result<(), Refusal> {
        self.directives += directives.len();
        if self.directives > MAX_DIRECTIVES {
            return Err("The query has too many directives.");
        }
        Ok(())
    }
}
