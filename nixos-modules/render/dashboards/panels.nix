# What the dashboards are made of, in Grafana's own notation (`@grafana/schema`): panels, rows, a variable, annotations, links.
{
  # URL of the folder of runbooks.
  runbooks,
}:
let
  inherit (builtins)
    concatMap
    elemAt
    foldl'
    genList
    length
    map
    ;
  optionalAttrs = condition: attributes: if condition then attributes else { };
  imap = f: list: genList (index: f index (elemAt list index)) (length list);

  datasource = {
    type = "prometheus";
    uid = "prometheus";
  };

  # A panel of any type. `queries`, `unit`, `options` and `custom` are for it; `thresholds`, `mappings` and `runbook` may be left out.
  panel =
    type:
    {
      title,
      description,
      queries,
      unit ? "none",
      min ? 0,
      max ? null,
      # [ [ COLOUR FROM ] … ], the first from whatever is lowest.
      thresholds ? [ ],
      mappings ? [ ],
      # The alert whose page tells what to do.
      runbook ? null,
      options ? { },
      custom ? { },
      overrides ? [ ],
      transformations ? [ ],
    }:
    {
      inherit
        type
        title
        description
        datasource
        options
        transformations
        ;
      links = map (
        name:
        link "link"
        // {
          title = "What to do: ${name}";
          url = page name;
          targetBlank = true;
        }
      ) (if runbook == null then [ ] else [ runbook ]);
      fieldConfig = {
        inherit overrides;
        defaults = {
          inherit unit custom;
        }
        // optionalAttrs (min != null) { inherit min; }
        // optionalAttrs (max != null) { inherit max; }
        // optionalAttrs (mappings != [ ]) { inherit mappings; }
        // optionalAttrs (thresholds != [ ]) {
          color.mode = if type == "timeseries" then "palette-classic" else "thresholds";
          thresholds = steps thresholds;
        };
      };
      targets = imap (
        index: query:
        query
        // {
          inherit datasource;
          refId = builtins.substring index 1 "ABCDEF";
        }
      ) queries;
    };
  page = name: "${runbooks}/${name}.md";
  link = type: {
    inherit type;
    icon = "external link";
    tooltip = "";
    tags = [ ];
    asDropdown = false;
    targetBlank = false;
    includeVars = false;
    keepTime = false;
  };
  annotation = name: iconColor: expr: titleFormat: textFormat: {
    inherit
      name
      datasource
      iconColor
      titleFormat
      textFormat
      ;
    enable = true;
    target = {
      inherit expr;
      refId = name;
      # Which Grafana wants of every annotation.
      type = "tags";
      tags = [ ];
      matchAny = false;
      limit = 100;
    };
  };
  steps = thresholds: {
    mode = "absolute";
    steps = imap (index: step: {
      color = elemAt step 0;
      value = if index == 0 then null else elemAt step 1;
    }) thresholds;
  };

  reduced.reduceOptions = {
    calcs = [ "lastNotNull" ];
    fields = "";
    values = false;
  };
  legend = {
    displayMode = "list";
    placement = "bottom";
    showLegend = true;
    calcs = [ ];
  };
  tooltip = {
    mode = "multi";
    sort = "desc";
  };
in
rec {
  # A line for each value of the labels in the legend.
  by = legend: expr: {
    inherit expr;
    legendFormat = legend;
  };
  # The rows of a table: what is so now.
  now = expr: {
    inherit expr;
    instant = true;
    range = false;
    format = "table";
  };
  quantile =
    q: labels: metric: selector:
    "histogram_quantile(${q}, sum by (le${labels}) (rate(${metric}_bucket${selector}[$__rate_interval])))";

  lines =
    settings:
    panel "timeseries" (
      settings
      // {
        options = { inherit legend tooltip; };
        custom = {
          lineWidth = 1;
          fillOpacity = 10;
          showPoints = "never";
        }
        # As lines of their own, in the colours of what is beyond.
        // optionalAttrs (settings ? thresholds) { thresholdsStyle.mode = "dashed"; }
        // settings.custom or { };
      }
    );
  # One on the other, for parts of a whole.
  areas =
    settings:
    lines (
      settings
      // {
        custom = {
          fillOpacity = 40;
          stacking = {
            mode = "normal";
            group = "A";
          };
        };
      }
    );
  stat =
    settings:
    panel "stat" (
      # Grafana's own default is red from 80 on.
      {
        thresholds = [ [ "blue" ] ];
      }
      // settings
      // {
        options = reduced // {
          colorMode = "background";
          graphMode = "area";
          justifyMode = "auto";
          orientation = "auto";
          textMode = "auto";
        };
      }
    );
  gauge =
    settings:
    panel "gauge" (
      settings
      // {
        options = reduced // {
          orientation = "auto";
          showThresholdLabels = false;
          showThresholdMarkers = true;
        };
      }
    );
  # [ [ TEXT COLOUR ] … ] for the values 0, 1, ….
  states = list: [
    {
      type = "value";
      options = builtins.listToAttrs (
        imap (index: state: {
          name = toString index;
          value = {
            text = elemAt state 0;
            color = elemAt state 1;
            inherit index;
          };
        }) list
      );
    }
  ];
  # Of each over time: 1 is good and 0 is bad, unless `mappings` has other states.
  timeline =
    settings:
    panel "state-timeline" (
      {
        mappings = states [
          [
            "no"
            "red"
          ]
          [
            "yes"
            "green"
          ]
        ];
      }
      // settings
      // {
        options = {
          mergeValues = true;
          showValue = "never";
          alignValue = "left";
          rowHeight = 0.8;
          inherit legend tooltip;
        };
        custom = {
          fillOpacity = 80;
          lineWidth = 0;
        };
      }
    );
  # Of all columns the `columns`, in this order.
  table =
    { columns, ... }@settings:
    panel "table" (
      removeAttrs settings [ "columns" ]
      // {
        options = {
          showHeader = true;
          cellHeight = "sm";
        };
        transformations = [
          {
            id = "filterFieldsByName";
            options.include.names = columns;
          }
          {
            id = "organize";
            options = {
              excludeByName = { };
              renameByName = { };
              indexByName = builtins.listToAttrs (
                imap (index: name: {
                  inherit name;
                  value = index;
                }) columns
              );
            };
          }
        ];
      }
    );
  # In a table of alerts, each name leads to its page.
  linkedAlerts = [
    {
      matcher = {
        id = "byName";
        options = "alertname";
      };
      properties = [
        {
          id = "links";
          value = [
            {
              title = "What to do";
              url = page "\${__value.text}";
              targetBlank = true;
            }
          ];
        }
      ];
    }
  ];

  # The panels of a row are equally wide and `height` of Grafana's units high.
  row = height: panels: {
    inherit height panels;
  };

  dashboard =
    {
      title,
      uid,
      description,
      # Whose nodes the variable `node` offers; null for a dashboard of all.
      job ? null,
      rows,
    }:
    let
      placed =
        foldl'
          (before: row: {
            y = before.y + row.height;
            panels =
              before.panels
              ++ imap (
                index: panel:
                panel
                // {
                  id = length before.panels + index + 1;
                  gridPos = {
                    x = index * (24 / length row.panels);
                    inherit (before) y;
                    w = 24 / length row.panels;
                    h = row.height;
                  };
                }
              ) row.panels;
          })
          {
            y = 0;
            panels = [ ];
          }
          rows;
    in
    {
      inherit title uid description;
      tags = [ "authstack" ];
      editable = true;
      refresh = "10s";
      time = {
        from = "now-1h";
        to = "now";
      };
      schemaVersion = 39;
      # One shows what happens at the same time in another.
      graphTooltip = 1;
      links = [
        (
          link "dashboards"
          // {
            title = "Authstack";
            tags = [ "authstack" ];
            tooltip = "The other dashboards, for the same time";
            keepTime = true;
          }
        )
      ];
      annotations.list = [
        (annotation "Alerts" "red" ''ALERTS{alertstate="firing"}'' "{{alertname}}" "{{node}} {{server}}")
        # A deploy starts every core anew; so does a crash, which has an alert beside it.
        (annotation "Starts of cores" "blue"
          ''changes(process_start_time_seconds{job="auth-core"}[1m]) * on (node) group_left (version) auth_build_info > 0''
          "{{node}} has started"
          "{{version}}"
        )
      ];
      templating.list = map (job: {
        name = "node";
        label = "Node";
        type = "query";
        inherit datasource;
        query = {
          query = ''label_values(up{job="${job}"}, node)'';
          refId = "node";
        };
        refresh = 2;
        sort = 1;
        multi = true;
        includeAll = true;
        allValue = ".*";
        current = {
          text = "All";
          value = "$__all";
        };
      }) (if job == null then [ ] else [ job ]);
      inherit (placed) panels;
    };
}
