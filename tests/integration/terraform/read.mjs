// Reads {name: text} of HCL files from standard input; writes {name: {formatted, parsed}} of each.
import hclTools from "@cdktf/hcl-tools";
import hcl2json from "@cdktf/hcl2json";

let text = "";
for await (const part of process.stdin) text += part;
const told = {};
for (const [name, hcl] of Object.entries(JSON.parse(text))) {
  told[name] = { formatted: await hclTools.format(hcl), parsed: await hcl2json.parse(name, hcl) };
}
process.stdout.write(JSON.stringify(told), () => process.exit(0));
