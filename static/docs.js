// Draws the API reference from openapi.json. Everything is set as text, never as markup.

const METHODS = ["get", "put", "post", "patch", "delete"];
const ACCESS = { ApiKey: "API key", UserToken: "User’s token", Ticket: "Ticket" };

/** Make an element: `el("p", {class: "x"}, "text", child)`. */
function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Text with its `code` parts as elements. */
function prose(text) {
  return String(text).split("`").map((part, index) => (index % 2 ? el("code", {}, part) : part));
}

/** Follow a `$ref` inside the document. */
function resolve(spec, node) {
  if (!node || !node.$ref) return node || {};
  return node.$ref.slice(2).split("/").reduce((at, key) => at[key], spec);
}

/** Say a schema's type in a few words. */
function typeOf(spec, schema) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if ("const" in schema) return JSON.stringify(schema.const);
  if (schema.anyOf) return schema.anyOf.map((option) => typeOf(spec, option)).join(" | ");
  if (schema.type === "array") {
    const items = typeOf(spec, schema.items || {});
    return items.includes(" | ") ? `(${items})[]` : `${items}[]`;
  }
  const type = schema.type || "any JSON";
  return schema.format ? `${type} (${schema.format})` : type;
}

/** The models that a schema leads to, besides itself. */
function models(schema) {
  if (schema.$ref) return [schema.$ref];
  return [...(schema.anyOf || []), ...(schema.items ? [schema.items] : [])].flatMap(models);
}

function bounds(schema) {
  const said = [];
  if (schema.maxLength) said.push(`up to ${schema.maxLength.toLocaleString("en")} characters`);
  if (schema.maxItems) said.push(`up to ${schema.maxItems.toLocaleString("en")}`);
  if (schema.minimum !== undefined) said.push(`${schema.minimum} to ${schema.maximum}`);
  if (schema.default !== undefined && schema.default !== null && !(Array.isArray(schema.default) && !schema.default.length)) {
    said.push(`default ${JSON.stringify(schema.default)}`);
  }
  const text = said.join(", ");
  return text && `${text[0].toUpperCase()}${text.slice(1)}.`;
}

function field(spec, name, schema, required, trail) {
  const note = [schema.description, bounds(schema)].filter(Boolean).join(" ");
  const item = el("li", {},
    el("span", { class: "name" }, name),
    el("span", { class: "type" }, typeOf(spec, schema)),
    required ? el("span", { class: "must" }, "required") : null,
    note ? el("span", { class: "note" }, ...prose(note)) : null);
  for (const reference of new Set(models(schema))) {
    if (trail.includes(reference)) continue;
    item.append(el("details", {},
      el("summary", {}, reference.split("/").pop()),
      fields(spec, { $ref: reference }, [...trail, reference])));
  }
  return item;
}

/** The fields of an object's schema as a list. */
function fields(spec, reference, trail = [reference.$ref]) {
  const schema = resolve(spec, reference);
  const required = new Set(schema.required || []);
  return el("ul", { class: "fields" }, ...Object.entries(schema.properties || {}).map(
    ([name, property]) => field(spec, name, property, required.has(name), trail)));
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** A curl command that can be pasted into a shell. */
function curl(base, path, method, operation) {
  const parameters = operation.parameters || [];
  let target = path;
  const query = [];
  const lines = [];
  for (const { name, in: place, example } of parameters) {
    if (place === "path") target = target.replace(`{${name}}`, encodeURIComponent(example ?? name));
    if (place === "query" && example !== undefined) query.push(`${name}=${encodeURIComponent(example)}`);
    if (place === "header" && example !== undefined) lines.push(`-H ${quoted(`${name}: ${example}`)}`);
  }
  const url = base + target + (query.length ? `?${query.join("&")}` : "");
  const schemes = (operation.security || []).flatMap(Object.keys);
  if (schemes.length) lines.unshift(`-H "Authorization: Bearer $${schemes[0] === "ApiKey" ? "BELLWIRE_API_KEY" : "TOKEN"}"`);
  if ("101" in operation.responses) {
    lines.push('-H "Connection: Upgrade" -H "Upgrade: websocket"');
    lines.push('-H "Sec-WebSocket-Version: 13" -H "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="');
  }
  const content = operation.requestBody?.content["application/json"];
  if (content) {
    lines.push("-H 'Content-Type: application/json'");
    lines.push(`-d ${quoted(JSON.stringify(content.example, null, 2))}`);
  }
  const streams = "101" in operation.responses || "text/event-stream" in (operation.responses["200"]?.content || {});
  const verb = method === "get" ? "" : `-X ${method.toUpperCase()} `;
  return [`curl ${streams ? "-N " : ""}${verb}${quoted(url)}`, ...lines].join(" \\\n  ");
}

function example(text) {
  const button = el("button", { type: "button" }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select it by hand"; // the clipboard needs https or localhost
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  return el("div", { class: "example" }, el("span", { class: "label" }, "shell"), el("pre", { tabindex: "0" }, text), button);
}

/** One answer: its status, what it means, and its fields. */
function answer(spec, status, response) {
  const { description, content } = resolve(spec, response);
  const model = Object.values(content || {})[0];
  const problem = model?.example?.type;
  const item = el("li", {},
    el("span", { class: `status ${status < 400 ? "good" : "bad"}` }, status), " ",
    ...prose(description),
    problem ? el("span", {}, " ", el("code", {}, problem.split("/").pop())) : null);
  if (status < 400 && model?.schema?.$ref) {
    item.append(el("details", {}, el("summary", {}, model.schema.$ref.split("/").pop()), fields(spec, model.schema)));
  }
  return item;
}

function answers(spec, operation) {
  const entries = Object.entries(operation.responses);
  const own = entries.filter(([, response]) => !response.$ref);
  const problems = entries.filter(([, response]) => response.$ref);
  const list = (some) => el("ul", { class: "answers" }, ...some.map(([status, response]) => answer(spec, status, response)));
  return [
    el("h4", {}, "Answers"),
    list(own),
    problems.length ? el("details", {}, el("summary", {}, `Problems (${problems.length})`), list(problems)) : null,
  ];
}

function section(spec, base, path, method, operation) {
  const schemes = (operation.security || []).flatMap(Object.keys);
  const about = el("div", {});
  if (operation.description) about.append(el("p", {}, ...prose(operation.description)));
  if (operation.parameters) {
    about.append(el("h4", {}, "Parameters"), el("ul", { class: "fields" }, ...operation.parameters.map((parameter) =>
      field(spec, parameter.name, { ...parameter.schema, description: `${parameter.in}: ${parameter.description}` },
        parameter.required, []))));
  }
  const schema = operation.requestBody?.content["application/json"].schema;
  if (schema) about.append(el("h4", {}, "Body"), fields(spec, schema));
  const side = el("div", {}, example(curl(base, path, method, operation)));
  side.append(...answers(spec, operation).filter(Boolean));
  const verb = method.toUpperCase();
  return el("article", { class: "operation", id: operation.operationId },
    el("h3", {}, el("a", { href: `#${operation.operationId}` }, operation.summary)),
    el("div", { class: "line" },
      el("span", { class: `method ${verb}` }, verb),
      el("code", { class: "path" }, path),
      ...schemes.map((scheme) => el("span", { class: "access" }, ACCESS[scheme] || scheme))),
    el("div", { class: "columns" }, about, side));
}

function draw(spec) {
  const base = new URL(spec.servers[0].url, location.href).href.replace(/\/$/, "");
  document.getElementById("version").textContent = spec.info.version;
  document.getElementById("about").replaceChildren(
    ...spec.info.description.split("\n\n").map((text) => el("p", {}, ...prose(text))));
  const groups = new Map(spec.tags.map((tag) => [tag.name, { tag, links: [], sections: [] }]));
  for (const [path, item] of Object.entries(spec.paths)) {
    for (const method of Object.keys(item).filter((name) => METHODS.includes(name))) {
      const operation = item[method];
      const group = groups.get(operation.tags[0]);
      const verb = method.toUpperCase();
      group.sections.push(section(spec, base, path, method, operation));
      group.links.push(el("li", { "data-text": `${verb} ${path} ${operation.summary}`.toLowerCase() },
        el("a", { href: `#${operation.operationId}` }, el("span", { class: `method ${verb}` }, verb), operation.summary)));
    }
  }
  const used = [...groups.values()].filter((group) => group.links.length);
  document.getElementById("nav").replaceChildren(...used.map((group) =>
    el("section", {}, el("h2", {}, group.tag.name), el("ul", {}, ...group.links))));
  document.getElementById("operations").replaceChildren(...used.map((group) =>
    el("section", { class: "group" }, el("h2", {}, group.tag.name), el("p", {}, group.tag.description), ...group.sections)));
  document.getElementById("operations").removeAttribute("aria-live");
}

/** Hide what does not contain the typed words, in the list and in the page. */
function filter(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  for (const link of document.querySelectorAll("#nav li")) {
    const shown = words.every((word) => link.dataset.text.includes(word));
    link.hidden = !shown;
    document.getElementById(link.firstChild.hash.slice(1)).hidden = !shown;
  }
  for (const group of document.querySelectorAll("#nav section, #operations > section")) {
    group.hidden = ![...group.querySelectorAll("li[data-text], article")].some((one) => !one.hidden);
  }
}

/** Mark in the list which call is being read. */
function follow() {
  const links = new Map([...document.querySelectorAll("#nav a")].map((link) => [link.hash.slice(1), link]));
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries.filter((one) => one.isIntersecting)) {
      for (const link of links.values()) link.removeAttribute("aria-current");
      links.get(entry.target.id).setAttribute("aria-current", "true");
    }
  }, { rootMargin: "0px 0px -75% 0px" });
  for (const article of document.querySelectorAll("article.operation")) watcher.observe(article);
}

try {
  const response = await fetch("openapi.json");
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  draw(await response.json());
  document.getElementById("filter").addEventListener("input", (event) => filter(event.target.value));
  follow();
  if (location.hash) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView({ behavior: "instant" });
} catch (error) {
  document.getElementById("operations").replaceChildren(
    el("p", { class: "state", role: "alert" }, `openapi.json could not be shown: ${error.message}`));
}
