// Write the JSON Schemas that JavaScript client libraries send, by their own code: see README.md.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const modules = resolve(process.argv[2] ?? ".");
const require = createRequire(join(modules, "package.json"));
const load = async (name) => import(pathToFileURL(require.resolve(name)));
const version = (name) => JSON.parse(readFileSync(join(modules, "node_modules", name, "package.json"))).version;
const here = dirname(fileURLToPath(import.meta.url));

const zod4 = (await load("zod")).z;
const zod3 = (await load("zod/v3")).z;
const { zodToJsonSchema } = await load("zod-to-json-schema");
const ai = await load("ai");
const { zodResponseFormat, zodFunction } = await load("openai/helpers/zod");
const { Type } = await load("@sinclair/typebox");
const valibot = await load("valibot");
const { toJsonSchema } = await load("@valibot/to-json-schema");
const langchain = await load("@langchain/core/utils/function_calling");

// Each takes the zod of either version and makes one schema.
const both = {
  flat: (z) => z.object({ name: z.string(), age: z.number() }),
  primitives: (z) =>
    z.object({ a: z.string(), b: z.number(), c: z.boolean(), d: z.null(), e: z.any(), f: z.unknown() }),
  described: (z) => z.object({ city: z.string().describe("The city"), n: z.number().describe("How many") }).describe("A place"),
  optional: (z) => z.object({ a: z.string().optional(), b: z.number().nullable(), c: z.string().nullish(), d: z.boolean().optional().nullable() }),
  defaults: (z) => z.object({ a: z.string().default("x"), b: z.number().default(3), c: z.array(z.string()).default([]), d: z.boolean().default(false) }),
  nested: (z) => z.object({ user: z.object({ name: z.string(), address: z.object({ street: z.string(), zip: z.string().regex(/^\d{5}$/) }) }) }),
  "strings with bounds": (z) => z.object({ a: z.string().min(3), b: z.string().max(5), c: z.string().min(8).max(10), d: z.string().length(4), e: z.string().min(1) }),
  "string checks": (z) => z.object({ a: z.string().startsWith("https://"), b: z.string().endsWith(".com"), c: z.string().includes("@"), d: z.string().regex(/^[A-Z]{2}-\d{4}$/), e: z.string().trim().toLowerCase() }),
  "several patterns": (z) => z.object({ a: z.string().regex(/^[a-z]+$/).regex(/^.{4}$/), b: z.string().startsWith("a").endsWith("z") }),
  email: (z) => z.object({ a: z.string().email() }),
  url: (z) => z.object({ a: z.string().url() }),
  uuid: (z) => z.object({ a: z.string().uuid() }),
  datetime: (z) => z.object({ a: z.string().datetime(), b: z.string().datetime({ offset: true }) }),
  "date and time": (z) => z.object({ a: z.string().date(), b: z.string().time() }),
  duration: (z) => z.object({ a: z.string().duration() }),
  ip: (z) => z.object({ a: z.ipv4 ? z.ipv4() : z.string().ip({ version: "v4" }), b: z.ipv6 ? z.ipv6() : z.string().ip({ version: "v6" }) }),
  cuid: (z) => z.object({ a: z.string().cuid() }),
  cuid2: (z) => z.object({ a: z.string().cuid2() }),
  ulid: (z) => z.object({ a: z.string().ulid() }),
  nanoid: (z) => z.object({ a: z.string().nanoid() }),
  base64: (z) => z.object({ a: z.string().base64() }),
  emoji: (z) => z.object({ a: z.string().emoji() }),
  jwt: (z) => z.object({ a: z.string().jwt() }),
  cidr: (z) => z.object({ a: z.cidrv4 ? z.cidrv4() : z.string().cidr({ version: "v4" }) }),
  numbers: (z) => z.object({ a: z.number().int(), b: z.number().min(0).max(100), c: z.number().positive(), d: z.number().nonnegative().int(), e: z.number().multipleOf(0.5), f: z.number().negative(), g: z.number().int().min(1).max(5) }),
  literals: (z) => z.object({ a: z.literal("x"), b: z.literal(5), c: z.literal(true), d: z.literal(null) }),
  enums: (z) => z.object({ a: z.enum(["red", "green"]), b: z.nativeEnum({ Low: 1, High: 2 }), c: z.nativeEnum({ A: "a", B: "b" }), d: z.enum(["x", "y"]).optional() }),
  arrays: (z) => z.object({ a: z.array(z.string()), b: z.array(z.number()).min(2).max(4), c: z.array(z.object({ id: z.number() })).nonempty(), d: z.array(z.array(z.boolean())), e: z.array(z.string()).length(3) }),
  tuples: (z) => z.object({ a: z.tuple([z.string(), z.number()]), b: z.tuple([z.string()]).rest(z.number()) }),
  records: (z) => z.object({ a: z.record(z.string(), z.number()), b: z.record(z.string(), z.object({ x: z.number() })), c: z.record(z.string(), z.any()) }),
  "record of enum": (z) => z.object({ a: z.record(z.enum(["p", "q"]), z.number()) }),
  "record of patterns": (z) => z.object({ a: z.record(z.string().regex(/^[a-z]+$/), z.string()) }),
  union: (z) => z.object({ a: z.union([z.string(), z.number()]), b: z.union([z.object({ x: z.string() }), z.object({ y: z.number() })]), c: z.string().or(z.array(z.string())) }),
  "union of literals": (z) => z.object({ a: z.union([z.literal("a"), z.literal("b"), z.literal(3)]) }),
  "discriminated union": (z) =>
    z.object({ shape: z.discriminatedUnion("kind", [z.object({ kind: z.literal("circle"), radius: z.number() }), z.object({ kind: z.literal("square"), side: z.number() })]) }),
  "list of discriminated": (z) =>
    z.object({ all: z.array(z.discriminatedUnion("type", [z.object({ type: z.literal("text"), text: z.string() }), z.object({ type: z.literal("image"), url: z.string().url() })])) }),
  intersection: (z) => z.object({ a: z.intersection(z.object({ x: z.string() }), z.object({ y: z.number() })) }),
  "and": (z) => z.object({ id: z.number() }).and(z.object({ name: z.string() })),
  "intersection of unions": (z) => z.object({ base: z.string() }).and(z.union([z.object({ a: z.number() }), z.object({ b: z.boolean() })])),
  extended: (z) => z.object({ a: z.string() }).extend({ b: z.number() }).partial(),
  "pick and omit": (z) => z.object({ a: z.string(), b: z.number(), c: z.boolean() }).omit({ b: true }),
  strict: (z) => z.object({ a: z.string() }).strict(),
  passthrough: (z) => z.object({ a: z.string() }).passthrough(),
  catchall: (z) => z.object({ a: z.string() }).catchall(z.number()),
  readonly: (z) => z.object({ a: z.array(z.string()).readonly(), b: z.string().readonly() }),
  refined: (z) => z.object({ a: z.string().refine((text) => text.length > 2), b: z.number().refine((n) => n > 0) }),
  branded: (z) => z.object({ id: z.string().brand("Id") }),
  caught: (z) => z.object({ a: z.string().catch("fallback") }),
  coerced: (z) => z.object({ a: z.coerce.number(), b: z.coerce.string() }),
  never: (z) => z.object({ a: z.string(), b: z.never().optional() }),
  piped: (z) => z.object({ a: z.string().pipe(z.string().min(2)) }),
  lazy: (z) => {
    const node = z.object({ value: z.string(), get children() { return z.array(z.lazy(() => node)); } });
    const old = z.object({ value: z.string(), children: z.lazy(() => z.array(old)) });
    return z.toJSONSchema ? node : old;
  },
  "linked list": (z) => {
    const node = z.object({ value: z.number(), next: z.lazy(() => node.nullable()) });
    return node;
  },
  tree: (z) => {
    const tree = z.lazy(() => z.union([z.object({ leaf: z.number() }), z.object({ left: tree, right: tree })]));
    return z.object({ tree });
  },
  shared: (z) => {
    const point = z.object({ x: z.number(), y: z.number() });
    return z.object({ from: point, to: point, via: z.array(point) });
  },
  empty: (z) => z.object({}),
  "top-level array": (z) => z.array(z.object({ id: z.string() })),
  "top-level union": (z) => z.union([z.object({ ok: z.literal(true), value: z.string() }), z.object({ ok: z.literal(false), error: z.string() })]),
  recipe: (z) =>
    z.object({ recipe: z.object({ name: z.string(), ingredients: z.array(z.object({ name: z.string(), amount: z.string() })), steps: z.array(z.string()) }) }),
  weather: (z) => z.object({ location: z.string().describe("The location to get the weather for"), unit: z.enum(["celsius", "fahrenheit"]).default("celsius") }),
  math: (z) => z.object({ steps: z.array(z.object({ explanation: z.string(), output: z.string() })), final_answer: z.string() }),
  sql: (z) =>
    z.object({
      table_name: z.enum(["orders", "products"]),
      columns: z.array(z.enum(["id", "status"])),
      conditions: z.array(z.object({ column: z.string(), operator: z.enum(["=", ">", "!="]), value: z.union([z.string(), z.number(), z.object({ column_name: z.string() })]) })),
      order_by: z.enum(["asc", "desc"]),
    }),
  invoice: (z) =>
    z.object({
      number: z.string().regex(/^INV-\d{6}$/),
      currency: z.enum(["EUR", "USD"]),
      lines: z.array(z.object({ text: z.string().min(1), quantity: z.number().int().positive(), price: z.number().nonnegative() })).min(1),
      due: z.string().date().nullable(),
      total: z.number(),
    }),
};
const only4 = {
  "date as iso": (z) => z.object({ a: z.iso.date(), b: z.iso.datetime(), c: z.iso.time() }),
  int32: (z) => z.object({ a: z.int(), b: z.int32(), c: z.uint32(), d: z.float32() }),
  "string formats": (z) => z.object({ a: z.email(), b: z.url(), c: z.uuidv4(), d: z.guid(), e: z.base64url(), f: z.hostname?.() ?? z.string(), g: z.e164() }),
  "template literal": (z) => z.object({ a: z.templateLiteral(["v", z.number(), ".", z.number()]), b: z.templateLiteral([z.enum(["px", "em"]), "-", z.string()]) }),
  "literal of many": (z) => z.object({ a: z.literal(["a", 1, true]) }),
  json: (z) => z.object({ a: z.json() }),
  "partial record": (z) => z.object({ a: z.partialRecord(z.enum(["x", "y"]), z.string()) }),
  "loose object": (z) => z.looseObject({ a: z.string() }),
  "meta": (z) => z.object({ a: z.string().meta({ title: "A", examples: ["one", "two"] }), b: z.number().meta({ description: "B", deprecated: true }) }).meta({ id: "Thing" }),
  "with ids": (z) => {
    const person = z.object({ name: z.string() }).meta({ id: "Person" });
    return z.object({ boss: person, staff: z.array(person) });
  },
  "stringbool": (z) => z.object({ a: z.stringbool() }),
  "nonoptional": (z) => z.object({ a: z.string().optional().nonoptional() }),
  "prefault": (z) => z.object({ a: z.string().prefault("p") }),
  "mutual recursion": (z) => {
    const user = z.object({ email: z.email(), get posts() { return z.array(post); } });
    const post = z.object({ title: z.string(), get author() { return user; } });
    return user;
  },
  "exclusive union": (z) => (z.xor ? z.object({ a: z.xor([z.string(), z.number()]) }) : z.object({ a: z.string() })),
};
const only3 = {
  map: (z) => z.object({ a: z.map(z.string(), z.number()) }),
  set: (z) => z.object({ a: z.set(z.string()), b: z.set(z.number()).min(2) }),
  date: (z) => z.object({ a: z.date() }),
  bigint: (z) => z.object({ a: z.bigint() }),
  transformed: (z) => z.object({ a: z.string().transform((text) => text.length) }),
  preprocessed: (z) => z.object({ a: z.preprocess((x) => x, z.number()) }),
  undefined: (z) => z.object({ a: z.undefined(), b: z.void() }),
};

const known = new Set();

function collect(made, name, make) {
  try {
    const schema = JSON.parse(JSON.stringify(make()));
    // Two that differ only in titles, descriptions and "$schema" are one.
    const text = JSON.stringify(schema, (key, value) =>
      ["title", "description", "$schema"].includes(key) && typeof value === "string" ? undefined : value,
    );
    if (!known.has(text)) {
      known.add(text);
      made[name] = schema;
    }
  } catch (error) {
    console.error(`  ${name}: ${String(error.message).slice(0, 100)}`); // refused: the library sends nothing
  }
}

function write(library, make) {
  console.error(library);
  const made = {};
  make((name, one) => collect(made, name, one));
  const lines = Object.entries(made).map(([name, schema]) => ` ${JSON.stringify(name)}: ${JSON.stringify(schema)}`);
  const text = `{"library": "${library}", "version": "${version(library)}", "schemas": {\n${lines.join(",\n")}\n}}\n`;
  const file = library.replace("@", "").replace("/", "-");
  writeFileSync(join(here, `javascript-${file}.json`), text);
  console.error(`  ${lines.length} schemas, ${text.length} bytes`);
}

const some = (names) => Object.fromEntries(names.map((name) => [name, both[name]]));
const usual = some([
  ...["optional", "defaults", "strings with bounds", "string checks", "arrays", "tuples", "records", "union", "enums"],
  ...["discriminated union", "intersection", "lazy", "linked list", "tree", "shared", "sql", "invoice", "numbers"],
]);

write("zod", (add) => {
  for (const [name, make] of Object.entries({ ...both, ...only4 })) add(name, () => zod4.toJSONSchema(make(zod4)));
  for (const name of ["defaults", "coerced", "piped", "caught"])
    add(`${name}, input`, () => zod4.toJSONSchema(both[name](zod4), { io: "input" }));
  for (const name of ["tuples", "record of enum", "literals", "numbers", "shared", "lazy"])
    add(`${name}, draft 7`, () => zod4.toJSONSchema(both[name](zod4), { target: "draft-7", reused: "ref" }));
});
write("zod-to-json-schema", (add) => {
  for (const [name, make] of Object.entries({ ...both, ...only3 })) add(name, () => zodToJsonSchema(make(zod3)));
  for (const name of ["numbers", "optional", "intersection", "string checks"])
    add(`${name}, openApi3`, () => zodToJsonSchema(both[name](zod3), { target: "openApi3" }));
  for (const name of ["tuples", "intersection", "and"])
    add(`${name}, 2019-09`, () => zodToJsonSchema(both[name](zod3), { target: "jsonSchema2019-09" }));
  add("named", () => zodToJsonSchema(both.shared(zod3), { name: "Route" }));
});
write("openai", (add) => {
  for (const [version, z] of [["zod 4", zod4], ["zod 3", zod3]])
    for (const [name, make] of Object.entries(usual)) {
      add(`${name}, ${version}`, () => zodResponseFormat(make(z), "answer").json_schema.schema);
    }
  for (const name of ["weather", "sql"])
    add(`tool ${name}`, () => zodFunction({ name: "tool", parameters: both[name](zod3) }).function.parameters);
});
write("ai", (add) => {
  for (const [version, z] of [["zod 4", zod4], ["zod 3", zod3]])
    for (const [name, make] of Object.entries(usual))
      add(`${name}, ${version}`, () => ai.asSchema(ai.zodSchema(make(z), { useReferences: name === "shared" })).jsonSchema);
  add("by hand", () => ai.jsonSchema({ type: "object", properties: { a: { type: "string" } }, required: ["a"] }).jsonSchema);
});
write("@langchain/core", (add) => {
  for (const [name, make] of Object.entries(some(["weather", "tuples", "lazy", "records", "intersection", "defaults"])))
    for (const [version, z] of [["zod 4", zod4], ["zod 3", zod3]])
      add(`tool ${name}, ${version}`, () => langchain.convertToOpenAITool({ name: "tool", description: "", schema: make(z) }).function.parameters);
});
write("@sinclair/typebox", (add) => {
  const literals = Type.Union([Type.Literal("a"), Type.Literal("b"), Type.Null()]);
  add("object", () => Type.Object({ a: Type.String({ minLength: 2 }), b: Type.Optional(Type.Integer({ minimum: 0 })), c: literals }));
  add("recursive", () => Type.Recursive((self) => Type.Object({ value: Type.Number(), nodes: Type.Array(self) }), { $id: "Node" }));
  add("recursive inside", () =>
    Type.Object({ tree: Type.Recursive((self) => Type.Object({ name: Type.String(), next: Type.Union([self, Type.Null()]) }), { $id: "Tree" }) }));
  add("composite", () => Type.Composite([Type.Object({ a: Type.String() }), Type.Object({ b: Type.Number() })]));
  add("intersect", () => Type.Intersect([Type.Object({ a: Type.String() }), Type.Object({ b: Type.Number() })], { unevaluatedProperties: false }));
  add("record", () => Type.Object({ a: Type.Record(Type.String(), Type.Number()), b: Type.Record(Type.Number(), Type.String()) }));
  add("tuple", () => Type.Object({ a: Type.Tuple([Type.String(), Type.Number()]), b: Type.Enum({ X: "x", Y: 2 }) }));
  add("template literal", () => Type.Object({ a: Type.TemplateLiteral("v${1|2}.${0|1}") }));
  add("module", () => Type.Module({ A: Type.Object({ b: Type.Ref("B") }), B: Type.Object({ n: Type.Integer() }) }).Import("A"));
});
write("@valibot/to-json-schema", (add) => {
  const v = valibot;
  add("object", () => toJsonSchema(v.object({ a: v.string(), b: v.optional(v.number(), 3), c: v.nullable(v.boolean()) })));
  add("checks", () =>
    toJsonSchema(v.object({ a: v.pipe(v.string(), v.email()), b: v.pipe(v.string(), v.regex(/^[a-z]{3}$/)), c: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(9)) })));
  add("variant", () => toJsonSchema(v.variant("type", [v.object({ type: v.literal("a"), x: v.string() }), v.object({ type: v.literal("b"), y: v.number() })])));
  add("picklist", () => toJsonSchema(v.object({ a: v.picklist(["x", "y"]), b: v.array(v.picklist([1, 2])), c: v.tuple([v.string(), v.number()]) })));
  add("record", () => toJsonSchema(v.object({ a: v.record(v.string(), v.number()), b: v.strictObject({ c: v.string() }) })));
  add("intersect", () => toJsonSchema(v.intersect([v.object({ a: v.string() }), v.object({ b: v.number() })])));
});
