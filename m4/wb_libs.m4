# WB_MISSING(WHAT, DEBIAN-PACKAGE, OPTION)
# The one form of "not found": what, the package, the command, the way round.
AC_DEFUN([WB_MISSING], [AC_MSG_ERROR([$1 not found.
  Debian and Ubuntu:  apt-get install $2
  everything at once: ./jobs/install-deps.sh
  somewhere else:     ./configure $3   (or PKG_CONFIG_PATH, CPPFLAGS, LDFLAGS)])])

# WB_LIB(NAME, PKG-CONFIG-MODULES, HEADER, FUNCTION, FALLBACK-LIBS, DEBIAN-PACKAGE)
# Finds a library we cannot do without: --with-NAME=LIBS (its -L and -l flags), pkg-config, or a plain link.
# Sets NAME_CFLAGS and NAME_LIBS (upper case) and adds them to WB_DEP_CFLAGS and WB_DEP_LIBS.
AC_DEFUN([WB_LIB], [
  m4_pushdef([UP], m4_toupper([$1]))
  AC_ARG_WITH([$1], [AS_HELP_STRING([--with-$1=LIBS], [link $1 with these flags (default: ask pkg-config)])],
    [], [with_$1=auto])
  UP[]_FROM=
  AS_CASE([$with_$1],
    [no], [AC_MSG_ERROR([wabun needs $1; --without-$1 cannot work])],
    [auto|yes|''],
      [wb_mod=
       for wb_try in $2; do
         AS_IF([test -z "$wb_mod" && $PKG_CONFIG --exists $wb_try], [wb_mod=$wb_try])
       done
       AS_IF([test -n "$wb_mod"],
         [PKG_CHECK_MODULES(UP, [$wb_mod], [UP[]_FROM="pkg-config $wb_mod"], [:])])
       AS_IF([test -z "$UP[]_FROM"], [UP[]_CFLAGS= UP[]_LIBS="$5"])],
    [UP[]_CFLAGS= UP[]_LIBS="$with_$1" UP[]_FROM="--with-$1"])
  wb_save_CPPFLAGS=$CPPFLAGS wb_save_LIBS=$LIBS wb_found=no
  CPPFLAGS="$CPPFLAGS $UP[]_CFLAGS"
  AC_MSG_CHECKING([that $4 of $1 links])
  AS_CASE([$with_$1], [auto|yes|''], [wb_fallback="$5"], [wb_fallback=])
  for wb_libs in "$UP[]_LIBS" $wb_fallback; do
    LIBS="$wb_libs $wb_save_LIBS"
    AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <stddef.h>
#include <stdio.h>
$3]], [[void *volatile p = (void *) $4; return p == NULL;]])], [wb_found=yes UP[]_LIBS=$wb_libs])
    AS_IF([test $wb_found = yes], [break])
  done
  CPPFLAGS=$wb_save_CPPFLAGS LIBS=$wb_save_LIBS
  AC_MSG_RESULT([$wb_found])
  AS_IF([test $wb_found = no], [WB_MISSING([$1], [$6], [--with-$1=LIBS])])
  AS_IF([test -z "$UP[]_FROM"], [UP[]_FROM="$UP[]_LIBS"])
  AC_SUBST(UP[_CFLAGS])
  AC_SUBST(UP[_LIBS])
  WB_DEP_CFLAGS="$WB_DEP_CFLAGS $UP[]_CFLAGS"
  WB_DEP_LIBS="$UP[]_LIBS $WB_DEP_LIBS"
  m4_popdef([UP])
])
