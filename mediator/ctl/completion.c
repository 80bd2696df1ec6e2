/* SPDX-License-Identifier: GPL-2.0-or-later */
/* completion: a function for bash, made from the table of verbs, so that it is never behind. */
#include <stdio.h>

#include "audit.h"
#include "ctl.h"

static void print_verbs(void)
{
	for (guint i = 0; i < ctl_n_verbs; i++)
		printf("%s%s", i ? " " : "", ctl_verbs[i].name);
}

static void print_options(void)
{
	for (guint i = 0; i < ctl_n_verbs; i++) {
		char **names = g_strsplit(ctl_verbs[i].options, " ", -1);

		/* What stands there as a word. */
		printf("\t%s) options=\"%s", ctl_verbs[i].name,
		       ctl_verbs[i].run == ctl_quarantine ? "for lift " : "");
		for (char **n = names; *n; n++)
			printf("--%s ", *n);
		puts("--json --socket --help\" ;;");
		g_strfreev(names);
	}
}

static void print_kinds(void)
{
	for (int i = 0; i < AUDIT_KINDS; i++)
		printf("%s%s", i ? " " : "", audit_kind_name((enum audit_kind)i));
}

int ctl_completion(struct ctl *c)
{
	(void)c;
	puts("# Completion of gpu_mediatorctl for bash; made by \"gpu_mediatorctl completion\".");
	puts("_gpu_mediatorctl() {");
	puts("\tlocal word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} verb= "
	     "options= i");
	puts("\tCOMPREPLY=()");
	puts("\tfor ((i = 1; i < COMP_CWORD; i++)); do");
	puts("\t\t[[ ${COMP_WORDS[i]} == -* ]] || { verb=${COMP_WORDS[i]}; break; }");
	puts("\tdone");
	puts("\tcase $before in");
	puts("\t--for) COMPREPLY=($(compgen -W \"qemu libvirt xl xe\" -- \"$word\")); return ;;");
	puts("\t--mode) COMPREPLY=($(compgen -W \"mediated passthrough none\" -- \"$word\")); "
	     "return ;;");
	printf("\t--kind) COMPREPLY=($(compgen -W \"");
	print_kinds();
	puts("\" -- \"$word\")); return ;;");
	puts("\tfor) return ;;");
	puts("\t--config|--socket|--sysfs) COMPREPLY=($(compgen -f -- \"$word\")); return ;;");
	puts("\tesac");
	puts("\tcase $verb in");
	printf("\t'') options=\"");
	print_verbs();
	puts(" --json --socket --help --version\" ;;");
	print_options();
	puts("\tesac");
	puts("\tCOMPREPLY=($(compgen -W \"$options\" -- \"$word\"))");
	puts("}");
	puts("complete -F _gpu_mediatorctl gpu_mediatorctl");
	return CTL_DONE;
}
