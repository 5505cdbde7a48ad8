// SPDX-License-Identifier: GPL-2.0-only
/*
 * What it costs to allocate and to free an object of each kind, in the task that
 * loads the module. It prints lines "kmem_cost NAME PAIRS NS", NS the time that
 * so many pairs of allocation and free took: a count of instructions in a guest
 * that counts them.
 */
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>

#define BATCH	64		/* objects in use at a time */
#define PAIRS	(BATCH * 500)

static void *object[BATCH];

struct kind {
	const char *name;
	slab_flags_t flags;
	gfp_t gfp;
	size_t size;	/* for kmalloc(): what one kind leaves behind is no other's */
	struct kmem_cache *cache;
};

/* One object at a time. */
static u64 singly(struct kmem_cache *s, gfp_t gfp)
{
	u64 start = ktime_get_ns();

	for (int i = 0; i < PAIRS; i++) {
		object[0] = kmem_cache_alloc(s, gfp);
		kmem_cache_free(s, object[0]);
	}
	return ktime_get_ns() - start;
}

/* Many at a time. */
static u64 batched(struct kmem_cache *s, gfp_t gfp)
{
	u64 start = ktime_get_ns();

	for (int i = 0; i < PAIRS; i += BATCH) {
		for (int k = 0; k < BATCH; k++)
			object[k] = kmem_cache_alloc(s, gfp);
		for (int k = 0; k < BATCH; k++)
			kmem_cache_free(s, object[k]);
	}
	return ktime_get_ns() - start;
}

/* By one call. */
static u64 bulk(struct kmem_cache *s, gfp_t gfp)
{
	u64 start = ktime_get_ns();

	for (int i = 0; i < PAIRS; i += BATCH) {
		if (kmem_cache_alloc_bulk(s, gfp, BATCH, object))
			kmem_cache_free_bulk(s, BATCH, object);
	}
	return ktime_get_ns() - start;
}

static u64 allocated_by_size(size_t size, gfp_t gfp)
{
	u64 start = ktime_get_ns();

	for (int i = 0; i < PAIRS; i += BATCH) {
		for (int k = 0; k < BATCH; k++)
			object[k] = kmalloc(size, gfp);
		for (int k = 0; k < BATCH; k++)
			kfree(object[k]);
	}
	return ktime_get_ns() - start;
}

static void report(const char *kind, const char *how, u64 ns)
{
	pr_info("kmem_cost %s-%s %d %llu\n", kind, how, PAIRS, ns);
}

static int __init kmem_cost_init(void)
{
	struct kind kinds[] = {
		{ "plain", 0, 0, 192 },
		{ "account", SLAB_ACCOUNT, __GFP_ACCOUNT, 192 },
		{ "bc", SLAB_BC, __GFP_BC, 96 },
		{ "both", SLAB_ACCOUNT | SLAB_BC, __GFP_ACCOUNT | __GFP_BC, 64 },
	};
	int ret = 0;

	for (int i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct kind *k = &kinds[i];
		char name[32];

		snprintf(name, sizeof(name), "kmem_cost_%s", k->name);
		k->cache = kmem_cache_create(name, 192, 0, k->flags | SLAB_NO_MERGE, NULL);
		if (!k->cache) {
			ret = -ENOMEM;
			continue;
		}
		/* The first round fills what the second one finds filled. */
		singly(k->cache, GFP_KERNEL);
		report(k->name, "single", singly(k->cache, GFP_KERNEL));
		batched(k->cache, GFP_KERNEL);
		report(k->name, "batch", batched(k->cache, GFP_KERNEL));
		bulk(k->cache, GFP_KERNEL);
		report(k->name, "bulk", bulk(k->cache, GFP_KERNEL));
		allocated_by_size(k->size, GFP_KERNEL | k->gfp);
		report(k->name, "kmalloc", allocated_by_size(k->size, GFP_KERNEL | k->gfp));
		kmem_cache_destroy(k->cache);
	}
	return ret;
}

static void __exit kmem_cost_exit(void)
{
}

module_init(kmem_cost_init);
module_exit(kmem_cost_exit);
MODULE_DESCRIPTION("What allocations cost, by whom they are charged to");
MODULE_LICENSE("GPL");
