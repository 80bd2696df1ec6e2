/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All tenants together: nobody can be two of them. */
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>

#include "policy.h"

static struct policy *parse(const char *name, const char *text)
{
	GError *err = NULL;
	struct policy *p = policy_parse(name, text, strlen(text), &err);

	g_assert_no_error(err);
	return p;
}

static void add(struct policy_set *set, const char *name, const char *text)
{
	GError *err = NULL;

	g_assert_true(policy_set_add(set, parse(name, text), &err));
	g_assert_no_error(err);
}

static void refuse(struct policy_set *set, const char *name, const char *text, const char *words)
{
	GError *err = NULL;
	guint before = policy_set_count(set);

	g_assert_false(policy_set_add(set, parse(name, text), &err));
	g_assert_nonnull(err);
	if (!strstr(err->message, words))
		g_error("\"%s\" lacks \"%s\"", err->message, words);
	g_assert_cmpuint(policy_set_count(set), ==, before);
	g_clear_error(&err);
}

static void test_find(void)
{
	struct policy_set *set = policy_set_new();

	add(set, "b", "[tenant]\nsocket=/b\nusers=7;8\n");
	add(set, "c", "[tenant]\nusers=9\n");
	add(set, "a", "[tenant]\nsocket=/a\n");
	g_assert_cmpuint(policy_set_count(set), ==, 3);
	g_assert_cmpstr(policy_set_at(set, 0)->name, ==, "a");
	g_assert_cmpstr(policy_set_at(set, 2)->name, ==, "c");
	g_assert_cmpstr(policy_set_find(set, "b")->name, ==, "b");
	g_assert_null(policy_set_find(set, "d"));
	g_assert_cmpstr(policy_set_by_socket(set, "/b")->name, ==, "b");
	g_assert_null(policy_set_by_socket(set, "/c"));
	g_assert_cmpstr(policy_set_by_uid(set, 8)->name, ==, "b");
	g_assert_cmpstr(policy_set_by_uid(set, 9)->name, ==, "c");
	g_assert_null(policy_set_by_uid(set, 0));
	policy_set_free(set);
}

static void test_twice(void)
{
	struct policy_set *set = policy_set_new();

	add(set, "a", "[tenant]\nsocket=/run/a\nusers=7;8\n");
	refuse(set, "a", "[tenant]\nsocket=/run/b\n", "there is a tenant \"a\" already");
	refuse(set, "b", "[tenant]\nsocket=/run/../run/a\n",
	       "b: [tenant] socket: /run/a is that of tenant \"a\" already");
	refuse(set, "b", "[tenant]\nusers=9;8\n", "user 8 is tenant \"a\" already");
	add(set, "b", "[tenant]\nsocket=/run/b\nusers=9\n");
	policy_set_free(set);
}

struct folder {
	char *path;
};

static void make(struct folder *f, gconstpointer data)
{
	(void)data;
	f->path = g_dir_make_tmp("vgpu-tenants-XXXXXX", NULL);
	g_assert_nonnull(f->path);
}

static void put(const struct folder *f, const char *name, const char *text)
{
	char *path = g_build_filename(f->path, name, NULL);

	g_assert_true(g_file_set_contents(path, text, -1, NULL));
	g_free(path);
}

static void drop(struct folder *f, gconstpointer data)
{
	GDir *dir = g_dir_open(f->path, 0, NULL);
	const char *name;

	(void)data;
	while (dir && (name = g_dir_read_name(dir))) {
		char *path = g_build_filename(f->path, name, NULL);

		g_unlink(path);
		g_free(path);
	}
	g_dir_close(dir);
	g_rmdir(f->path);
	g_free(f->path);
}

static void test_folder(struct folder *f, gconstpointer data)
{
	GError *err = NULL;
	struct policy_set *set;

	(void)data;
	put(f, "b.conf", "[tenant]\nsocket=/b\nlevel=high\n");
	put(f, "a.conf", "[tenant]\nusers=1\n");
	put(f, "a.conf~", "nonsense");
	put(f, ".c.conf", "nonsense");
	put(f, "README", "nonsense");
	set = policy_set_load(f->path, &err);
	g_assert_no_error(err);
	g_assert_cmpuint(policy_set_count(set), ==, 2);
	g_assert_cmpstr(policy_set_at(set, 1)->name, ==, "b");
	g_assert_true(g_str_has_suffix(policy_set_at(set, 1)->path, "/b.conf"));
	g_assert_cmpint(policy_set_at(set, 1)->level, ==, POLICY_HIGH);
	policy_set_free(set);
}

/* One wrong file, and there is none of it; the check tells of all. */
static void test_wrong_folder(struct folder *f, gconstpointer data)
{
	GPtrArray *wrong;
	GError *err = NULL;
	struct policy_set *set;

	(void)data;
	put(f, "a.conf", "[tenant]\nsocket=/a\n");
	put(f, "b.conf", "[tenant]\nsocket=/b\nlevel=godlike\n");
	put(f, "c.conf", "[tenant]\nsocket=/a\n");
	put(f, "d d.conf", "[tenant]\nsocket=/d\n");
	g_assert_null(policy_set_load(f->path, &err));
	g_assert_nonnull(strstr(err->message, "/b.conf: [tenant] level: \"godlike\" is not"));
	g_clear_error(&err);
	set = policy_set_check(f->path, &wrong);
	g_assert_cmpuint(policy_set_count(set), ==, 1);
	g_assert_cmpuint(wrong->len, ==, 3);
	err = g_ptr_array_index(wrong, 1);
	g_assert_nonnull(strstr(err->message, "/c.conf: [tenant] socket: /a is that of"));
	g_ptr_array_free(wrong, TRUE);
	policy_set_free(set);
}

static void test_no_folder(void)
{
	GError *err = NULL;
	struct policy_set *set = policy_set_load("/nonexistent/tenants", &err);

	g_assert_no_error(err);
	g_assert_cmpuint(policy_set_count(set), ==, 0);
	policy_set_free(set);
	g_assert_null(policy_set_load("/dev/null", &err));
	g_assert_nonnull(err);
	g_clear_error(&err);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/policy-set/find", test_find);
	g_test_add_func("/policy-set/twice", test_twice);
	g_test_add("/policy-set/folder", struct folder, NULL, make, test_folder, drop);
	g_test_add("/policy-set/wrong-folder", struct folder, NULL, make, test_wrong_folder, drop);
	g_test_add_func("/policy-set/no-folder", test_no_folder);
	return g_test_run();
}
