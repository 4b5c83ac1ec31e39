// Reads [{kind, module, resource}] and holds each resource to the type of its kind, unknown fields included; prints for
// each what TypeScript says of it.
import ts from 'typescript';

const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const given = JSON.parse(Buffer.concat(chunks).toString());
const options = {
    strict: true, noEmit: true, skipLibCheck: true, types: [], lib: ['lib.es2022.d.ts'],
    target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler,
};
const texts = new Map(given.map(({kind, module, resource}, number) => [
    `${import.meta.dirname}/resource${number}.ts`,
    `import type { I${kind} } from "${module}";\nexport const resource: I${kind} = ${JSON.stringify(resource)};\n`,
]));
const host = ts.createCompilerHost(options);
const {fileExists, readFile, getSourceFile} = host;
host.fileExists = (name) => texts.has(name) || fileExists(name);
host.readFile = (name) => texts.get(name) ?? readFile(name);
host.getSourceFile = (name, ...more) =>
    texts.has(name) ? ts.createSourceFile(name, texts.get(name), more[0]) : getSourceFile(name, ...more);
const program = ts.createProgram([...texts.keys()], options, host);
const said = [...texts.keys()].map((name) => {
    const file = program.getSourceFile(name);
    return [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)]
        .map(({messageText}) => ts.flattenDiagnosticMessageText(messageText, '\n'));
});
process.stdout.write(JSON.stringify(said));
