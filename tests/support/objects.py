"""What there is of an image in the stores of a running stack."""


def stored_keys(stack, image_id):
    """Every object that belongs to an image, found by listing both buckets."""
    with stack.catalogue.reading() as tx:
        image = tx.images.get(image_id)
        keys = {image.original_key, *tx.jobs.planned_keys(image_id)}
    return sorted(keys & set(all_keys(stack)))


def all_keys(stack):
    if stack.name == "embedded":
        root = stack.folder / "objects"
        for bucket in ("originals", "renditions"):
            yield from (path.relative_to(root / bucket).as_posix() for path in (root / bucket).rglob("*"))
        return
    for bucket in (stack.buckets.originals, stack.buckets.renditions):
        for page in stack.buckets.owner.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            yield from (item["Key"] for item in page.get("Contents", []))
