"""The PyPI package mcp, the official client, against a running server (API_URL) and against the program itself (SQLITREST_BIN, which it starts), with the
handshake of the older protocols and with the newest one. What is written has an owner of its own."""

import os
import sys
import unittest

import httpx2
import jwt
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

URL = os.environ["API_URL"] + "/_mcp"
SECRET = "a secret of the tests of the MCP client"


def by_http(role, sub, mode):
    token = jwt.encode({"role": role, "sub": sub}, SECRET, algorithm="HS256")
    http = httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"})
    return Client(streamable_http_client(URL, http_client=http), mode=mode)


def by_stdio(role, sub, mode, **environment):
    arguments = ["mcp", os.environ["DATABASE"], "--config", os.environ["CONFIG"], "--engine", os.environ["ENGINE"]]
    arguments += ["--role", role, "--sub", sub]
    server = StdioServerParameters(command=os.environ["SQLITREST_BIN"], args=arguments, env=environment)
    return Client(server, mode=mode)


WAYS = {
    "http, handshake": (by_http, "legacy"),
    "http, newest": (by_http, "auto"),
    "stdio, handshake": (by_stdio, "legacy"),
    "stdio, newest": (by_stdio, "auto"),
}


class Case(unittest.IsolatedAsyncioTestCase):
    maxDiff = None

    async def each(self, role, test):
        """Does a test by every way, as this role."""
        for number, (name, (way, mode)) in enumerate(WAYS.items()):
            with self.subTest(name):
                subject = f"{role}-{number}"
                async with way(role, subject, mode) as client:
                    await test(client, subject)

    async def gives(self, client, tool, arguments):
        result = await client.call_tool(tool, arguments)
        self.assertFalse(result.is_error, result)
        return result.structured_content

    async def refused(self, client, tool, arguments, code):
        result = await client.call_tool(tool, arguments)
        self.assertTrue(result.is_error, result)
        self.assertIn(f'"code":"{code}"', result.content[0].text)


class Agents(Case):
    async def test_what_there_is(self):
        async def test(client, _):
            self.assertEqual(client.server_info.name, "sqlitrest")
            self.assertIn("list_relations", client.instructions)
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            reads = ["list_relations", "describe_relation", "read_rows", "explain_request"]
            self.assertEqual(set(tools), {*reads, "call_function", "write_rows"})
            for name in reads:
                self.assertTrue(tools[name].annotations.read_only_hint, name)
            self.assertTrue(tools["write_rows"].annotations.destructive_hint)

        await self.each("listener", test)

    async def test_the_schema(self):
        async def test(client, _):
            listed = await self.gives(client, "list_relations", {})
            self.assertEqual([own["name"] for own in listed["relations"]], ["artists", "albums", "tracks"])
            about = await self.gives(client, "describe_relation", {"relation": "artists"})
            self.assertNotIn("rating", [column["name"] for column in about["columns"]])
            self.assertEqual(about["comment"], "Who plays")
            resources = (await client.list_resources()).resources
            self.assertIn("sqlitrest://schema/artists", [str(own.uri) for own in resources])
            templates = (await client.list_resource_templates()).resource_templates
            self.assertEqual([own.uri_template for own in templates], ["sqlitrest://schema/{relation}"])
            text = (await client.read_resource("sqlitrest://schema")).contents[0].text
            self.assertIn("\ntable artists (select): Who plays\n", text)
            self.assertNotIn("notes", text)

        await self.each("listener", test)

    async def test_rows_and_functions(self):
        async def test(client, _):
            page = {"relation": "artists", "select": "id,albums(title)", "order": "id", "count": True}
            rows = await self.gives(client, "read_rows", page)
            expected = [
                {"id": 1, "albums": [{"title": "Alpha"}, {"title": "Beta"}]},
                {"id": 2, "albums": [{"title": "Gamma"}]},
            ]
            self.assertEqual(rows, {"rows": expected, "total": 2, "truncated": False})
            cut = await self.gives(client, "read_rows", {"relation": "tracks", "order": "id"})
            self.assertEqual(([row["id"] for row in cut["rows"]], cut["truncated"]), ([1, 2, 3], True))
            found = {"relation": "albums", "select": "id", "filters": [{"column": "title", "operator": "in", "value": ["Beta", 'x","y']}]}
            self.assertEqual((await self.gives(client, "read_rows", found))["rows"], [{"id": 2}])
            called = {"function": "albums_of", "arguments": {"artist": 1}, "select": "title", "filters": [{"column": "released", "operator": "gt", "value": 2000}]}
            self.assertEqual((await self.gives(client, "call_function", called))["result"], [{"title": "Beta"}])
            explained = await self.gives(client, "explain_request", {"path": "/albums?title=eq.Beta"})
            self.assertTrue(explained["next"])

        await self.each("listener", test)

    async def test_refusals(self):
        async def test(client, _):
            await self.refused(client, "read_rows", {"relation": "notes"}, "42501")
            await self.refused(client, "read_rows", {"relation": "artists", "filters": [{"column": "rating", "value": 1}]}, "42501")
            await self.refused(client, "read_rows", {"relation": "artists", "query": "limit=9"}, "PGRST102")
            with self.assertRaises(MCPError):
                await client.call_tool("drop_everything", {})

        await self.each("listener", test)

    async def test_writing(self):
        async def test(client, owner):
            notes = {"relation": "notes"}
            rows = [{"owner": owner, "body": "one"}, {"owner": owner, "body": "two"}]
            inserted = await self.gives(client, "write_rows", {**notes, "operation": "insert", "rows": rows})
            self.assertEqual((inserted["affected"], [row["body"] for row in inserted["rows"]]), (2, ["one", "two"]))
            await self.refused(client, "write_rows", {**notes, "operation": "insert", "rows": {"owner": "another"}}, "42501")
            await self.refused(client, "write_rows", {**notes, "operation": "delete"}, "PGRST102")
            two = {"filters": [{"column": "body", "value": "two"}]}
            updated = await self.gives(client, "write_rows", {**notes, **two, "operation": "update", "rows": {"stars": 5}})
            self.assertEqual(updated["affected"], 1)
            read = await self.gives(client, "read_rows", {**notes, "select": "body,stars", "order": "id"})
            self.assertEqual(read["rows"], [{"body": "one", "stars": None}, {"body": "two", "stars": 5}])
            deleted = await self.gives(client, "write_rows", {**notes, **two, "operation": "delete", "returning": False})
            self.assertEqual(deleted, {"affected": 1, "truncated": False})
            self.assertIsNone((await self.gives(client, "call_function", {"function": "forget"}))["result"])
            self.assertEqual((await self.gives(client, "read_rows", notes))["rows"], [])

        await self.each("author", test)

    async def test_who_may_only_read(self):
        async with by_stdio("author", "reader", "legacy", SQLITREST_MCP_WRITE="false") as client:
            names = [tool.name for tool in (await client.list_tools()).tools]
            self.assertNotIn("write_rows", names)
            await self.refused(client, "call_function", {"function": "forget"}, "25006")
            with self.assertRaises(MCPError):
                await client.call_tool("write_rows", {"relation": "notes", "operation": "insert", "rows": {"owner": "reader"}})

    async def test_nobody(self):
        answer = httpx2.post(URL, json={"jsonrpc": "2.0", "id": 1, "method": "ping"})
        self.assertEqual((answer.status_code, answer.headers["www-authenticate"]), (401, "Bearer"))


if __name__ == "__main__":
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
    import report

    report.main()
