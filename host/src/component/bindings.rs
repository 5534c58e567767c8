//! The only `bindgen!` of the host: the component's world, from the same WIT as the guest.
#![allow(missing_docs)]

wasmtime::component::bindgen!({
    world: "sqlitrest:component/native",
    path: "../wit",
    imports: {
        "spin:sqlite/sqlite.[method]connection.execute": async | trappable,
        default: trappable,
    },
    exports: { default: async },
    ownership: Borrowing { duplicate_if_necessary: true },
    require_store_data_send: true,
    with: { "spin:sqlite/sqlite.connection": super::sqlite::Session },
});
