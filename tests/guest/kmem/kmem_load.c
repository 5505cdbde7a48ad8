// SPDX-License-Identifier: GPL-2.0-only
/*
 * Kernel memory for whoever asks for it. A struct kmem_load that is written to
 * /proc/kmem_load asks for that much of one kind, charged to the writer's
 * beancounter; all of it or, with ENOMEM, nothing. It stays until it is given
 * back or the file is closed.
 */
#include <linux/gfp.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/proc_fs.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "kmem_load.h"

struct object {
	struct rcu_head rcu;
	char data[200];
};

struct item {
	struct list_head list;
	unsigned int kind;
	unsigned int order;
	void *p;
};

struct owner {
	struct mutex lock;
	struct list_head items;	/* the oldest first */
	unsigned int frees;
};

static struct kmem_cache *objects;

/* Its size is read from the object file: struct_page_bytes in tests/lib.sh. */
static char kmem_load_struct_page[sizeof(struct page)] __used;

static void give_back(struct owner *owner, struct item *i)
{
	switch (i->kind) {
	case KMEM_LOAD_OBJECTS:
	case KMEM_LOAD_BULK:
		/* By turns, as both are common. */
		if (owner->frees++ % 2)
			kmem_cache_free(objects, i->p);
		else
			kfree_rcu((struct object *)i->p, rcu);
		break;
	case KMEM_LOAD_KMALLOC:
	case KMEM_LOAD_VMALLOC:
	case KMEM_LOAD_KVMALLOC:
		if (owner->frees++ % 2)
			kvfree(i->p);
		else
			kvfree_rcu_mightsleep(i->p);
		break;
	case KMEM_LOAD_PAGES:
		/* In parts. */
		for (unsigned int k = 0; k < 1U << i->order; k++)
			__free_page((struct page *)i->p + k);
		break;
	case KMEM_LOAD_COMPOUND:
		put_page(i->p);
		break;
	}
	list_del(&i->list);
	kfree(i);
}

static void *get_one(const struct kmem_load *ask, unsigned int order)
{
	const gfp_t gfp = GFP_KERNEL_BC | (ask->account ? __GFP_ACCOUNT : 0);
	struct page *page;

	switch (ask->kind) {
	case KMEM_LOAD_OBJECTS:
		return kmem_cache_alloc(objects, gfp);
	case KMEM_LOAD_KMALLOC:
		return kmalloc(ask->size, gfp);
	case KMEM_LOAD_VMALLOC:
		return __vmalloc(ask->size, gfp);
	case KMEM_LOAD_KVMALLOC:
		return kvmalloc(ask->size, gfp);
	case KMEM_LOAD_PAGES:
		page = alloc_pages(gfp, order);
		if (page)
			split_page(page, order);
		return page;
	case KMEM_LOAD_COMPOUND:
		return alloc_pages(gfp | __GFP_COMP, order);
	}
	return NULL;
}

static ssize_t kmem_load_write(struct file *file, const char __user *buf, size_t size, loff_t *pos)
{
	struct owner *owner = file->private_data;
	void *bulk[KMEM_LOAD_COUNT];
	struct kmem_load ask;
	struct item *i, *next;
	unsigned int order;
	LIST_HEAD(got);
	int ret = 0;

	if (size != sizeof(ask))
		return -EINVAL;
	if (copy_from_user(&ask, buf, sizeof(ask)))
		return -EFAULT;
	if (ask.kind > KMEM_LOAD_FREE || !ask.count || ask.count > KMEM_LOAD_COUNT ||
	    (ask.kind != KMEM_LOAD_FREE && (!ask.size || ask.size > KMEM_LOAD_SIZE)))
		return -EINVAL;

	guard(mutex)(&owner->lock);
	if (ask.kind == KMEM_LOAD_FREE) {
		list_for_each_entry_safe(i, next, &owner->items, list) {
			if (!ask.count--)
				break;
			give_back(owner, i);
		}
		return size;
	}

	order = get_order(ask.size);
	if (ask.kind == KMEM_LOAD_BULK &&
	    !kmem_cache_alloc_bulk(objects, ask.account ? GFP_KERNEL_ACCOUNT : GFP_KERNEL,
				   ask.count, bulk))
		return -ENOMEM;
	for (unsigned int k = 0; k < ask.count; k++) {
		/* What notes it is charged to nobody. */
		i = kzalloc(sizeof(*i), GFP_KERNEL | __GFP_NOFAIL);
		i->kind = ask.kind;
		i->order = order;
		i->p = ask.kind == KMEM_LOAD_BULK ? bulk[k] : get_one(&ask, order);
		if (!i->p) {
			kfree(i);
			ret = -ENOMEM;
			break;
		}
		list_add_tail(&i->list, &got);
	}
	if (ret) {
		list_for_each_entry_safe(i, next, &got, list)
			give_back(owner, i);
		return ret;
	}
	list_splice_tail(&got, &owner->items);
	return size;
}

static int kmem_load_open(struct inode *inode, struct file *file)
{
	struct owner *owner = kzalloc(sizeof(*owner), GFP_KERNEL);

	if (!owner)
		return -ENOMEM;
	mutex_init(&owner->lock);
	INIT_LIST_HEAD(&owner->items);
	file->private_data = owner;
	return 0;
}

static int kmem_load_release(struct inode *inode, struct file *file)
{
	struct owner *owner = file->private_data;
	struct item *i, *next;

	list_for_each_entry_safe(i, next, &owner->items, list)
		give_back(owner, i);
	kfree(owner);
	return 0;
}

static const struct proc_ops kmem_load_ops = {
	.proc_open = kmem_load_open,
	.proc_write = kmem_load_write,
	.proc_release = kmem_load_release,
};

static int __init kmem_load_init(void)
{
	objects = kmem_cache_create("kmem_load", sizeof(struct object), 0, SLAB_BC | SLAB_NO_MERGE, NULL);
	if (!objects)
		return -ENOMEM;
	if (!proc_create("kmem_load", 0600, NULL, &kmem_load_ops)) {
		kmem_cache_destroy(objects);
		return -ENOMEM;
	}
	return 0;
}

static void __exit kmem_load_exit(void)
{
	remove_proc_entry("kmem_load", NULL);
	kmem_cache_destroy(objects);
}

module_init(kmem_load_init);
module_exit(kmem_load_exit);
MODULE_DESCRIPTION("Kernel memory for whoever asks for it");
MODULE_LICENSE("GPL");
