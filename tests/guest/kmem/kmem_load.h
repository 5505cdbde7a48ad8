/* SPDX-License-Identifier: GPL-2.0-only */
/* What is written to /proc/kmem_load: see kmem_load.c. */
#ifndef KMEM_LOAD_H
#define KMEM_LOAD_H

enum kmem_load_kind {
	KMEM_LOAD_OBJECTS,	/* of a cache with SLAB_BC, one by one */
	KMEM_LOAD_BULK,		/* the same, all at once */
	KMEM_LOAD_KMALLOC,
	KMEM_LOAD_VMALLOC,
	KMEM_LOAD_KVMALLOC,
	KMEM_LOAD_PAGES,	/* each can be freed by itself */
	KMEM_LOAD_COMPOUND,
	KMEM_LOAD_KINDS,
	KMEM_LOAD_FREE = KMEM_LOAD_KINDS,	/* frees the oldest @count */
};

struct kmem_load {
	unsigned int kind;
	unsigned int count;	/* at most KMEM_LOAD_COUNT at a time */
	unsigned int size;	/* bytes of each, at most KMEM_LOAD_SIZE */
	unsigned int account;	/* not 0: charged to the memory cgroup, too */
};

#define KMEM_LOAD_COUNT	64
#define KMEM_LOAD_SIZE	(256 << 10)

#endif
