// Nightlight at the edge, for CloudFront Functions (runtime 2.0), on viewer responses: of what the bucket says only the
// headers on this list reach a viewer. Dates of writing, retention rules, tags, versions and keys do not.
//
// The response headers policy of infra/terraform/cloudfront.tf adds those of infra/edge/nginx/headers.conf after this.

const PASSED = ['accept-ranges', 'content-length', 'content-range', 'content-type', 'date'];
const DIGEST = /^[0-9a-f]{64}(?![\s\S])/;

function handler(event) {
    const response = event.response, received = response.headers, headers = {};
    PASSED.forEach(function (name) {
        if (received[name]) {
            headers[name] = {value: received[name].value};
        }
    });
    // Of the bytes, as the service makes it: the bucket's own may be another after each writing.
    const digest = received['x-amz-meta-sha256'];
    if (digest && DIGEST.test(digest.value)) {
        headers.etag = {value: '"' + digest.value.slice(0, 32) + '"'};
    }
    headers['cache-control'] = {value: 'no-store'};
    response.headers = headers;
    response.cookies = {};
    return response;
}
