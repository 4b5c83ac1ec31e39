// Serves the buckets that are named as arguments after the folder, on a port that the system gives; prints the port.
import S3rver from "@20minutes/s3rver";

const [directory, ...names] = process.argv.slice(2);
const server = new S3rver({
  address: "127.0.0.1", port: 0, directory, silent: true, configureBuckets: names.map((name) => ({ name })),
});
const { port } = await server.run();
console.log(port);
