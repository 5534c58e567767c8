//! Joins the component with what the host offers; what a component wants beyond that stops the start.

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, HasSelf, Linker, LinkerInstance, ResourceType};
use wasmtime::{Engine, Result, bail};
use wasmtime_wasi::p2::{self, DynInputStream, DynOutputStream, DynPollable};

use super::bindings::{Native, NativePre};
use super::instances::State;

/// What is exported for Spin, which calls the guest through it. Our host calls the flat export instead.
const UNUSED: &str = "wasi:http/";

/// The component with its imports resolved.
///
/// # Errors
/// wasmtime's, naming the import that is not offered.
pub fn link(engine: &Engine, component: &Component) -> Result<NativePre<State>> {
    let mut linker = Linker::<State>::new(engine);
    p2::add_to_linker_async(&mut linker)?;
    Native::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    for (name, import) in component.component_type().imports(engine) {
        if let ComponentItem::ComponentInstance(interface) = import.ty
            && name.starts_with(UNUSED)
        {
            let mut instance = linker.instance(name)?;
            for (name, item) in interface.exports(engine) {
                trap(&mut instance, name, &item.ty)?;
            }
        }
    }
    NativePre::new(linker.instantiate_pre(component)?)
}

/// Something of the right type that nobody calls.
fn trap(instance: &mut LinkerInstance<'_, State>, name: &str, item: &ComponentItem) -> Result<()> {
    match item {
        ComponentItem::Resource(_) => {
            // The streams and such are WASI's own types under another roof.
            let kind = match name {
                "input-stream" => ResourceType::host::<DynInputStream>(),
                "output-stream" => ResourceType::host::<DynOutputStream>(),
                "pollable" => ResourceType::host::<DynPollable>(),
                "error" | "io-error" => ResourceType::host::<p2::bindings::io::error::Error>(),
                _ => ResourceType::host::<()>(),
            };
            instance.resource(name, kind, |_, _| Ok(()))
        }
        ComponentItem::ComponentFunc(_) => {
            let called = name.to_owned();
            instance.func_new(name, move |_, _, _, _| bail!("{UNUSED} {called} is not offered"))
        }
        _ => Ok(()),
    }
}
